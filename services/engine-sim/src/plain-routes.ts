import { ApiError } from "./api-error.ts";
import { faultSchema } from "./faults.ts";
import { readBody, send, sendJson } from "./http-body.ts";
import { chatPromptIds, tokenize } from "./language.ts";
import { detokenizeSchema, tokenizeSchema } from "./request-schemas.ts";
import { failEarly, resolveModel, type Routes, type Service } from "./service.ts";
import { spell, spellingOf } from "./vocabulary.ts";

/** What `GET /version` says: the release of vLLM whose behaviour this is, and that it is not it. */
export const VERSION = "0.32.0+headrace.sim";

/** The endpoints that answer at once, vLLM's and (under `/sim`) our own. */
export function plainRoutes(service: Service): Routes {
  const startedSeconds = Math.floor(Date.now() / 1000);
  return {
    "GET /health": ({ response }) =>
      send(response, { status: 200, contentType: "application/json", text: "" }),
    "GET /version": ({ response }) => sendJson(response, 200, { version: VERSION }),
    "GET /metrics": ({ response }) =>
      send(response, {
        status: 200,
        contentType: "text/plain; version=0.0.4; charset=utf-8",
        text: service.engine.metrics.expose(service.modelNames[0], service.engine.state),
      }),
    "GET /v1/models": ({ response }) => sendJson(response, 200, modelList(service, startedSeconds)),
    ...tokenizerRoutes(service),
    ...simulationRoutes(service),
  };
}

function modelList(service: Service, startedSeconds: number): object {
  return {
    object: "list",
    data: service.modelNames.map((id) => ({
      id,
      object: "model",
      created: startedSeconds,
      owned_by: "vllm",
      root: service.settings.model,
      parent: null,
      max_model_len: service.maxModelLen,
      permission: [],
    })),
  };
}

function tokenizerRoutes(service: Service): Routes {
  return {
    "POST /tokenize": async ({ request, response }) => {
      const body = await readBody(request, tokenizeSchema);
      resolveModel(service, body.model);
      const { prompt, messages } = body;
      const tokens = typeof prompt === "string" ? tokenize(prompt) : chatPromptIds(messages ?? []);
      sendJson(response, 200, {
        count: tokens.length,
        max_model_len: service.maxModelLen,
        tokens,
        token_strs: body.return_token_strs === true ? tokens.map(spellingOf) : null,
      });
    },
    "POST /detokenize": async ({ request, response, path }) => {
      const body = await readBody(request, detokenizeSchema);
      resolveModel(service, body.model);
      if (failEarly(service.faults.planFor(path, []))) return;
      sendJson(response, 200, { prompt: spell(body.tokens) });
    },
  };
}

function simulationRoutes({ engine, faults }: Service): Routes {
  return {
    "GET /sim/requests": ({ response }) => {
      const { metrics, state } = engine;
      sendJson(response, 200, {
        started: metrics.started,
        completed: metrics.finished.stop + metrics.finished.length,
        aborted: metrics.finished.abort,
        rejected: metrics.rejections.queued_reqs + metrics.rejections.queued_tokens,
        running: state.running,
        waiting: state.waiting,
        tokens_generated: metrics.generationTokens,
        prompt_tokens: metrics.promptTokens,
      });
    },
    "GET /sim/faults": ({ response }) => sendJson(response, 200, { faults: faults.list() }),
    "POST /sim/faults": async ({ request, response }) => {
      if (!faults.add(await readBody(request, faultSchema))) {
        throw new ApiError(400, "Too many faults are in force; DELETE /sim/faults lifts them.");
      }
      sendJson(response, 200, { faults: faults.list() });
    },
    "DELETE /sim/faults": ({ response }) => {
      faults.clear();
      sendJson(response, 200, { faults: [] });
    },
  };
}
