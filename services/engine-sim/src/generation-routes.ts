import { randomUUID } from "node:crypto";
import { chatDialect, completionDialect } from "./dialect.ts";
import { embed, EMBEDDING_DIMENSIONS, toBase64 } from "./embedding.ts";
import { Generation } from "./generation.ts";
import {
  chatRequest,
  completionRequest,
  faultList,
  type GenerationRequest,
  promptIds,
  requirePromptFits,
} from "./generation-request.ts";
import { readBody, sendJson } from "./http-body.ts";
import {
  chatSchema,
  completionSchema,
  type EmbeddingBody,
  embeddingSchema,
} from "./request-schemas.ts";
import type { Sequence } from "./sequence.ts";
import {
  type Exchange,
  failEarly,
  requireAdmission,
  requirePolicy,
  resolveModel,
  type Routes,
  type Service,
} from "./service.ts";

/** The endpoints that use the engine. */
export function generationRoutes(service: Service): Routes {
  return {
    "POST /v1/chat/completions": async (exchange) => {
      const body = await readBody(exchange.request, chatSchema);
      const model = resolveModel(service, body.model);
      generate(service, exchange, { model, request: chatRequest(body, service.maxModelLen) });
    },
    "POST /v1/completions": async (exchange) => {
      const body = await readBody(exchange.request, completionSchema);
      const model = resolveModel(service, body.model);
      generate(service, exchange, { model, request: completionRequest(body, service.maxModelLen) });
    },
    "POST /v1/embeddings": async (exchange) => {
      answerEmbeddings(service, exchange, await readBody(exchange.request, embeddingSchema));
    },
  };
}

function generate(
  service: Service,
  exchange: Exchange,
  call: { readonly model: string; readonly request: GenerationRequest },
): void {
  const { request, model } = call;
  // Before the faults: one that strikes once strikes a call that would have run.
  requirePolicy(service, request.priority);
  const faults = service.faults.planFor(exchange.path, request.faults);
  if (failEarly(faults)) return;
  requireAdmission(service, request.prompts.length * request.n);
  if (exchange.response.destroyed) return;

  const isChat = request.kind === "chat";
  const head = {
    id: `${isChat ? "chatcmpl" : "cmpl"}-${requestId(exchange, request.requestId)}`,
    created: Math.floor(Date.now() / 1000),
    model,
  };
  new Generation({
    engine: service.engine,
    dialect: (isChat ? chatDialect : completionDialect)(head, request),
    request,
    faults,
    response: exchange.response,
    withMetrics: service.settings.enablePerRequestMetrics,
  }).start(exchange.arrivedAtMs);
}

function requestId(exchange: Exchange, asked: string | null): string {
  const header = exchange.request.headers["x-request-id"];
  return asked ?? (typeof header === "string" ? header : randomUUID().replaceAll("-", ""));
}

/** Read each input through the engine, as a prompt without output, then answer with the vectors. */
function answerEmbeddings(service: Service, exchange: Exchange, body: EmbeddingBody): void {
  const model = resolveModel(service, body.model);
  requirePolicy(service, body.priority);
  const faults = service.faults.planFor(exchange.path, faultList(body.headrace_fault));
  if (failEarly(faults)) return;
  const inputs = promptIds(body.input);
  for (const ids of inputs) requirePromptFits(ids.length, service.maxModelLen);
  requireAdmission(service, inputs.length);
  if (exchange.response.destroyed) return;

  let open = inputs.length;
  const finished = (): void => {
    open -= 1;
    if (open > 0) return;
    if (faults.cutAfterTokens === undefined) sendEmbeddings(exchange, { body, inputs, model });
    else exchange.response.socket?.destroySoon();
  };
  const sequences: readonly Sequence[] = inputs.map((ids) =>
    service.engine.submit(
      {
        promptIds: ids,
        seed: 0,
        maxTokens: 0,
        minTokens: 0,
        ignoreEos: false,
        stopTokenIds: [],
        priority: body.priority,
        sink: { token: () => false, finished },
        stall: faults.stall,
      },
      exchange.arrivedAtMs,
    ),
  );
  exchange.response.on("close", () => {
    for (const sequence of sequences) service.engine.abort(sequence);
  });
}

function sendEmbeddings(
  exchange: Exchange,
  call: {
    readonly body: EmbeddingBody;
    readonly inputs: readonly (readonly number[])[];
    readonly model: string;
  },
): void {
  const { body, inputs, model } = call;
  const dimensions = body.dimensions ?? EMBEDDING_DIMENSIONS;
  const promptTokens = inputs.reduce((sum, ids) => sum + ids.length, 0);
  sendJson(exchange.response, 200, {
    id: `embd-${requestId(exchange, body.request_id ?? null)}`,
    object: "list",
    created: Math.floor(Date.now() / 1000),
    model,
    data: inputs.map((ids, index) => {
      const vector = embed(ids, dimensions);
      const embedding = body.encoding_format === "base64" ? toBase64(vector) : [...vector];
      return { index, object: "embedding", embedding };
    }),
    usage: {
      prompt_tokens: promptTokens,
      total_tokens: promptTokens,
      completion_tokens: 0,
      prompt_tokens_details: null,
    },
  });
}
