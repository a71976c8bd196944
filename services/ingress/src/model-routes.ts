import type { KnownModel } from "@headrace/broker";
import { PlatformError, type Model, type ModelList } from "@headrace/contract";

import { sendJson } from "./answer.ts";
import { pathParameter, type Exchange, type Route } from "./exchange.ts";
import type { Services } from "./services.ts";

/** What OpenAI's list says of who made a model; of those served here we know nothing. */
const OWNER = "headrace";

/** The models that jobs may name: those that ever had a worker. */
export function modelRoutes(services: Services): Route[] {
  return [
    { path: "/v1/models", methods: { GET: (exchange) => listModels(services, exchange) } },
    {
      path: "/v1/models/{model}",
      // Names contain slashes, and not every client escapes them.
      pattern: "/v1/models/*model",
      methods: { GET: (exchange) => readModel(services, exchange) },
    },
  ];
}

async function listModels({ broker }: Services, exchange: Exchange): Promise<void> {
  const models = await broker.models();
  const body: ModelList = {
    object: "list",
    data: [...models].map(([name, model]) => toModel(name, model)),
  };
  sendJson(exchange, 200, { body });
}

async function readModel({ broker }: Services, exchange: Exchange): Promise<void> {
  const name = pathParameter(exchange, "model");
  const model = (await broker.models()).get(name);
  if (model === undefined) {
    throw new PlatformError("model_not_found", "no worker has ever served this model", {
      param: "model",
    });
  }
  sendJson(exchange, 200, { body: toModel(name, model) });
}

function toModel(id: string, { createdAt, maxModelLength }: KnownModel): Model {
  return {
    id,
    object: "model",
    created: createdAt,
    owned_by: OWNER,
    max_model_len: maxModelLength,
  };
}
