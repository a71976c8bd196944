import type { WorkerStatus } from "@headrace/broker";
import { PlatformError } from "@headrace/contract";
import { validate } from "@headrace/endpoints";
import { z } from "zod";

import { admit } from "../admission.ts";
import { sendJson } from "../answer.ts";
import type { Caller } from "../caller.ts";
import type { Exchange, Route } from "../exchange.ts";
import { assertReady } from "../operations-routes.ts";
import { readJsonBody } from "../request-body.ts";
import type { Services } from "../services.ts";
import { readCallForm, type CallForm } from "../submission-form.ts";
import { SynchronousCall } from "../synchronous-call.ts";
import { GenerateDelivery } from "./generate-delivery.ts";
import { findServedModel, type ServedModel } from "./served-model.ts";
import { generateRequestSchema, type GenerateRequest } from "./shapes.ts";
import { asUnprocessable, Unprocessable, validateBody } from "./validation-error.ts";

/**
 * The routes of the plain FastAPI server in front of one model that Headrace takes the place of, so
 * that its clients need another address and a key, and nothing else.
 */
export function plainRoutes(services: Services): Route[] {
  return [
    {
      path: "/generate",
      isTimed: true,
      methods: {
        POST: (exchange, caller) =>
          answerUnprocessable(services, exchange, () => generate(services, exchange, caller)),
      },
    },
    {
      path: "/health",
      isTimed: true,
      isOpen: true,
      methods: { GET: (exchange) => answerHealth(services, exchange) },
    },
    {
      path: "/model/info",
      isTimed: true,
      methods: {
        GET: (exchange) =>
          answerUnprocessable(services, exchange, () => answerModel(services, exchange)),
      },
    },
  ];
}

/** Answer what is not valid as FastAPI does; other failures are everybody's. */
async function answerUnprocessable(
  { events }: Services,
  exchange: Exchange,
  answer: () => Promise<void>,
): Promise<void> {
  try {
    await answer();
  } catch (error) {
    if (!(error instanceof Unprocessable)) throw error;
    events.errorTold("request_invalid");
    sendJson(exchange, 422, { body: error.body });
  }
}

async function generate(services: Services, exchange: Exchange, caller: Caller): Promise<void> {
  const call = await readGenerateCall(services, exchange, caller);
  const { isStreamed } = call;
  const form = await admit(services, exchange, call.form);
  const delivery = new GenerateDelivery(services, exchange, { form, isStreamed });
  await new SynchronousCall(services, exchange, delivery).run(form);
}

/** @throws Unprocessable; PlatformError `model_not_found`, and as `readJsonBody` for no JSON */
async function readGenerateCall(
  services: Services,
  { request }: Exchange,
  caller: Caller,
): Promise<CallForm> {
  try {
    const body = await readJsonBody(request, services.bodyLimitBytes);
    const asked = validateBody(generateRequestSchema, body);
    const { name } = await findServedModel(services, asked.model ?? null);
    return await readCallForm(services.broker, caller, {
      endpoint: "/v1/completions",
      body: toCompletion(name, asked),
      headers: request.headers,
    });
  } catch (error) {
    throw asUnprocessable(error, "body");
  }
}

/** What the engine is asked: what is not said is left to it. */
function toCompletion(model: string, asked: GenerateRequest): object {
  const given = Object.entries(asked).filter(([, value]) => value !== null && value !== undefined);
  return { ...Object.fromEntries(given), model };
}

/** Tell whether calls are taken in, and whether a worker is there to run them. */
async function answerHealth(services: Services, exchange: Exchange): Promise<void> {
  try {
    await assertReady(services);
    const served = await findOnlyModel(services);
    const workers = served === null ? [] : await services.broker.readWorkers(served.model);
    sendJson(exchange, 200, {
      body: { status: "healthy", model: served?.name ?? null, model_loaded: canServe(workers) },
    });
  } catch (error) {
    if (!(error instanceof PlatformError)) throw error;
    const body = { status: "unhealthy", model: null, model_loaded: false };
    sendJson(exchange, error.status, { body });
  }
}

async function findOnlyModel(services: Services): Promise<ServedModel | null> {
  try {
    return await findServedModel(services, null);
  } catch (error) {
    const isUndecided =
      error instanceof PlatformError &&
      (error.code === "request_invalid" || error.code === "model_not_found");
    if (isUndecided) return null;
    throw error;
  }
}

const modelQuerySchema = z.strictObject({ model: z.string().min(1).max(256).optional() });

async function answerModel(services: Services, exchange: Exchange): Promise<void> {
  const { name, model } = await readServedModel(services, exchange);
  const workers = await services.broker.readWorkers(model);
  const engines = workers.map(({ engine: { kind, version } }) =>
    version === null ? kind : `${kind} ${version}`,
  );
  sendJson(exchange, 200, {
    body: {
      model_name: name,
      max_model_len: model.maxModelLength,
      loaded: canServe(workers),
      workers: workers.length,
      engines: [...new Set(engines)].toSorted(),
    },
  });
}

async function readServedModel(services: Services, { request }: Exchange): Promise<ServedModel> {
  try {
    const { model } = validate(modelQuerySchema, { ...request.query });
    return await findServedModel(services, model ?? null);
  } catch (error) {
    throw asUnprocessable(error, "query");
  }
}

/** Whether a worker is there whose engine answers. */
function canServe(workers: readonly WorkerStatus[]): boolean {
  return workers.some(({ engine }) => engine.error === null);
}
