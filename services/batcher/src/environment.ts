import { tmpdir } from "node:os";

import { durabilitySchema } from "@headrace/contract";
import { integerVariable, LOG_LEVELS, portVariable } from "@headrace/runtime";
import { z } from "zod";

const HIGHEST_PRICE = 1_000_000;

/** The batcher's environment: one field per variable. */
export const environmentSchema = z.object({
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).default("redis://127.0.0.1:6379"),
  /** What it is worth that a line was taken in: as the ingress' own. */
  HEADRACE_DURABILITY: durabilitySchema.default("redis"),
  /** Where files of batches are kept: as the ingress' own. */
  STORAGE_URL: z.url(),
  /** Lines that a batch may have. */
  BATCH_LINES: integerVariable(1, 100_000_000).default(50_000),
  /** Batches that are run at once. */
  BATCHER_BATCHES: integerVariable(1, 64).default(4),
  /** A folder on a disk with room for the input files of those batches. */
  BATCHER_SCRATCH: z.string().min(1).default(tmpdir()),
  /** What an hour of one GPU costs: what batches are said to have cost so far. */
  HEADRACE_GPU_HOUR_PRICE: z.coerce.number().min(0).max(HIGHEST_PRICE).default(0),
  /** Address of `/metrics`, `/healthz` and `/readyz`. A container sets 0.0.0.0. */
  BATCHER_OPERATIONS_HOST: z.string().default("127.0.0.1"),
  /** Their port; 0 lets the system choose. */
  BATCHER_OPERATIONS_PORT: portVariable.default(9_093),
  LOG_LEVEL: z.enum(LOG_LEVELS).default("info"),
});
