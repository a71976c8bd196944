import { scopesFor } from "../caller.ts";
import { ADMIN_OPERATIONS } from "./admin-operations.ts";
import { ESTIMATE } from "@headrace/broker";

import { BATCH_OPERATIONS } from "./batch-operations.ts";
import { ENGINE_OPERATIONS } from "./engine-operations.ts";
import { JOB_OPERATIONS } from "./job-operations.ts";
import {
  REPLIES,
  type JsonSchema,
  type Operation,
  type Parameter,
  type Reply,
} from "./operation.ts";
import { PLAIN_OPERATIONS } from "./plain-operations.ts";
import { LOCAL_OPERATIONS, PROCESS_OPERATIONS } from "./process-operations.ts";
import { RESPONSE_OPERATIONS } from "./response-operations.ts";
import { componentSchemas } from "./schemas.ts";
import { USAGE_OPERATIONS } from "./usage-operations.ts";
import { WEBHOOK_OPERATIONS } from "./webhook-operations.ts";

interface Content {
  readonly schema: JsonSchema;
}

/** An operation as OpenAPI describes it. */
export interface OperationObject {
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly operationId: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: {
    readonly required: true;
    readonly content: Readonly<Record<string, Content>>;
  };
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly description: string;
        readonly headers: Readonly<Record<string, Content>>;
        readonly content?: Readonly<Record<string, Content>>;
      }
    >
  >;
}

/** An OpenAPI 3.1 document, as far as this one uses it. */
export interface OpenApiDocument {
  readonly openapi: "3.1.0";
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly security: OperationObject["security"];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly securitySchemes: Readonly<Record<string, object>>;
  };
}

/** Every operation of the API, in the order the reference shows them. */
export function allOperations({ hasMetrics }: { readonly hasMetrics: boolean }): Operation[] {
  const local = hasMetrics ? LOCAL_OPERATIONS : [];
  return [
    ...JOB_OPERATIONS,
    ...ENGINE_OPERATIONS,
    ...BATCH_OPERATIONS,
    ...WEBHOOK_OPERATIONS,
    ...USAGE_OPERATIONS,
    ...ADMIN_OPERATIONS,
    ...PLAIN_OPERATIONS,
    ...RESPONSE_OPERATIONS,
    ...PROCESS_OPERATIONS,
    ...local,
  ].map(withCrowding);
}

/** Whatever is asked may come to too much. */
function withCrowding(operation: Operation): Operation {
  if (operation.isProbe === true) return operation;
  return { ...operation, replies: { 429: REPLIES.crowded, ...operation.replies } };
}

/**
 * Describe the operations in OpenAPI 3.1.
 *
 * @param bodyLimitBytes as this process is configured
 * @see https://spec.openapis.org/oas/v3.1.0
 */
export function describeApi(
  operations: readonly Operation[],
  bodyLimitBytes: number,
): OpenApiDocument {
  const paths: Record<string, Record<string, OperationObject>> = {};
  for (const operation of operations) {
    const path = (paths[operation.path] ??= {});
    path[operation.method.toLowerCase()] = toObject(operation);
  }
  return {
    openapi: "3.1.0",
    info: { title: "Headrace", version: "1", description: introduction(bodyLimitBytes) },
    security: [{ apiKey: [] }],
    tags: [
      { name: "Jobs", description: "Submit, follow, cancel, delete." },
      { name: "OpenAI", description: "OpenAI's calls, answered through the queue." },
      {
        name: "Batches",
        description: "OpenAI's files and batches: prompts in a file, answers in a file.",
      },
      { name: "Webhooks", description: "Be told of what ends, at your own address." },
      { name: "Usage", description: "What was used, and what it cost." },
      { name: "Keys", description: "For operators: keys, tenants, and who did what to them." },
      {
        name: "Plain server",
        description: "The routes of a FastAPI server in front of one model, for its clients.",
      },
      { name: "Operations", description: "For those who run it. No key is needed." },
    ],
    paths,
    components: {
      schemas: componentSchemas(),
      securitySchemes: { apiKey: { type: "http", scheme: "bearer" } },
    },
  };
}

function introduction(bodyLimitBytes: number): string {
  return [
    "A durable queue in front of vLLM GPUs.",
    "Send `Authorization: Bearer <key>`. A key belongs to a tenant and sees what is its tenant's: of anybody else's there is nothing to be found (404). What it may be used for is its scopes: `submit` makes, cancels and deletes (and is told no results by that, but for those that the call itself waits for), `read` reads, both together keep webhook endpoints and secrets (an endpoint is told what all the tenant's jobs come to), `admin` is the operator's. The server's own key (`HEADRACE_API_KEY`) has all three.",
    'Errors are OpenAI\'s shape, `{"error": {message, type, param, code}}`; every answer carries `x-request-id`, yours if you send one.',
    `Limits and defaults: bodies to ${bodyLimitBytes} bytes, uncompressed JSON nested to 64 levels, of at most 100,000 fields, lists and objects; heads to 16 KiB and 100 headers (else 431), addresses to 4,096 characters (else 414); a head may take 20 s to come, a whole request 120 s, and an answer may stay untaken for 30 s; a job may wait 1 h to start, a synchronous call 60 s; an ended job is kept 24 h, that of a synchronous call 10 minutes; streams carry a comment every 15 s; answers are held back 60 s at most.`,
    "Pages in a browser may call from the origins that the operator lists (`INGRESS_CORS_ORIGINS`), with a key and without cookies; from no other.",
    "What a 202 is worth is the operator's choice (`HEADRACE_DURABILITY`): Redis has the job (a power cut may cost its last second or two), has synced it to disk, or a replica has it too.",
    "The operator may have prompts reviewed before they are queued: one that the filter refuses is answered 400 `content_rejected`, one that it could not look at 503 `content_filter_unavailable`.",
    `A key may have limits: requests and tokens a minute, also of one model; jobs open at once, those for later and synchronous calls apart; tokens and money a month (UTC). A minute's worth may be used at once and comes back evenly. A job reserves the tokens that it may come to, and gives back at its end what it has not used: a token for ${ESTIMATE.bytesPerToken} bytes of prompt, ${ESTIMATE.tokensPerMessage} for each message, ${ESTIMATE.tokensPerAttachment} for an image or the like; and its \`max_tokens\`, or ${ESTIMATE.completionTokens} for a completion without and for a chat without what such chats of its model came to lately (${ESTIMATE.chatTokens} before that is known), for each choice. What it has used in truth is counted at its end, more or less. What is left is told by \`x-ratelimit-*\` as OpenAI does, of the key's limit or the model's, whichever has less left; and by \`RateLimit\`, whose policies are \`requests\` and \`tokens\` of the key, \`model-requests\` and \`model-tokens\` of the model. Beyond a limit the answer is 429: not accepted, and safe to repeat after \`retry-after\`.`,
    "Jobs take memory of the queue, from their submit until they are forgotten; a request larger than 16 KiB only until its job has completed. Once the queue is nearly full a tenant whose jobs take more than its share (`INGRESS_TENANT_MEMORY_SHARE`, three quarters of what they take and what is free together) is answered 429 `share_exceeded`, so that there is room for the others. Deleting ended jobs and a shorter `retention_seconds` make room.",
    "Requests are also counted by the address they come from, whatever they ask: the operator says how many a minute (`INGRESS_ADDRESS_REQUESTS_PER_MINUTE`, 600,000 to each process unless set), and of these 600 at most with a wrong key. What a tenant reads is read eight at a time, the rest in turn.",
    "A job that could not start by its deadline at the pace of the last minute is refused with 429 `deadline_unreachable` and the wait that is expected, rather than accepted and left to expire. While there is no worker, while one waits for jobs, and while fewer than ten jobs started in that minute, nothing is refused for that.",
    "OpenAI's SDKs repeat a call by themselves when its answer is lost, and name no `Idempotency-Key`. Such a call (`x-stainless-retry-count` above 0, same API key, same body, within ten minutes) finds the job that it made, with `idempotent-replayed: true`: a submit is told of it, a synchronous call follows it from its start or gets its result; one that was cancelled because its caller had hung up, or that failed, is made anew.",
    "503 means not accepted, or safe to repeat with the same `Idempotency-Key`; 502 and 504 only end synchronous calls, whose job was accepted and has ended.",
  ].join("\n\n");
}

function toObject(operation: Operation): OperationObject {
  const { body, replies, isOpen } = operation;
  return {
    tags: [operation.tag],
    summary: operation.summary,
    description: operation.description,
    operationId: operation.id,
    security: isOpen === true ? [] : [{ apiKey: scopesFor(operation.method, operation.path) }],
    parameters: operation.parameters ?? [],
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { "application/json": { schema: { $ref: `#/components/schemas/${body}` } } },
          },
        }),
    responses: Object.fromEntries(
      Object.entries(replies).map(([status, reply]) => [status, toResponse(reply)]),
    ),
  };
}

function toResponse(reply: Reply): OperationObject["responses"][string] {
  const names = ["x-request-id", ...(reply.headers ?? [])];
  const headers = Object.fromEntries(
    names.map((name): [string, Content] => [name, { schema: { type: "string" } }]),
  );
  const type = reply.schema === undefined ? reply.type : "application/json";
  if (type === undefined) return { description: reply.description, headers };
  const schema: JsonSchema =
    reply.schema === undefined
      ? { type: type === "application/json" ? "object" : "string" }
      : { $ref: `#/components/schemas/${reply.schema}` };
  return { description: reply.description, headers, content: { [type]: { schema } } };
}
