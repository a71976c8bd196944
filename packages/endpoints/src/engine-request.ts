import { REQUEST_SCHEMAS, type Endpoint, type EngineRequest } from "@headrace/contract";
import type { z } from "zod";

/** Each endpoint's schema, as far as it matters here: what comes out names a model. */
export const REQUESTS_BY_ENDPOINT: Readonly<Record<Endpoint, z.ZodType<EngineRequest>>> =
  REQUEST_SCHEMAS;
