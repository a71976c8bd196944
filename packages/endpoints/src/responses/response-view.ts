import {
  responseIdOf,
  type ErrorBody,
  type JobId,
  type JobSpec,
  type JobStatus,
  type Response,
  type ResponseUsage,
  type Usage,
} from "@headrace/contract";
import { z } from "zod";

/** A job, as far as its response shows it. */
export interface ResponseJob {
  readonly id: JobId;
  readonly spec: Pick<JobSpec, "request" | "metadata" | "response">;
  readonly acceptedAtMs: number;
}

/** How far a response has come. */
export interface ResponseState {
  readonly status: Response["status"];
  readonly output?: Response["output"];
  readonly error?: ErrorBody | null;
  readonly incompleteReason?: "max_output_tokens" | "content_filter" | null;
  readonly endedAtMs?: number;
  readonly usage?: Usage | null;
}

const textSchema = z.string();
const messagesSchema = z.tuple([z.looseObject({ content: textSchema })], z.unknown());
const toolsSchema = z.array(z.object({ function: z.looseObject({ name: textSchema }) }));
const formatSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("json_object") }),
  z.object({ type: z.literal("json_schema"), json_schema: z.looseObject({}) }),
]);

/** Show a job as OpenAI's API shows a response. */
export function toResponse(job: ResponseJob, state: ResponseState): Response {
  const { request, metadata, response: spec } = job.spec;
  const { status, error = null, incompleteReason = null, endedAtMs, usage = null } = state;
  const isCompleted = status === "completed" && endedAtMs !== undefined;
  return {
    id: responseIdOf(job.id),
    object: "response",
    created_at: Math.floor(job.acceptedAtMs / 1_000),
    status,
    background: spec?.is_background ?? false,
    completed_at: isCompleted ? Math.floor(endedAtMs / 1_000) : null,
    error: error === null ? null : toResponseError(error),
    incomplete_details: incompleteReason === null ? null : { reason: incompleteReason },
    instructions: instructionsOf(job.spec),
    max_output_tokens: find(z.int(), request["max_tokens"]),
    max_tool_calls: null,
    model: request.model,
    output: state.output ?? [],
    parallel_tool_calls: true,
    previous_response_id: null,
    prompt_cache_key: null,
    reasoning: { effort: find(textSchema, request["reasoning_effort"]), summary: null },
    safety_identifier: null,
    service_tier: "default",
    store: spec?.is_stored ?? true,
    temperature: find(z.number(), request["temperature"]),
    text: { format: formatOf(request["response_format"]), verbosity: "medium" },
    tool_choice: "auto",
    tools: toolsOf(request["tools"]),
    top_logprobs: find(z.int(), request["top_logprobs"]) ?? 0,
    top_p: find(z.number(), request["top_p"]),
    truncation: "disabled",
    usage: usage === null ? null : toResponseUsage(usage),
    user: null,
    metadata,
    ...spec?.echo,
  };
}

/** Show a job that is open; its output is in its events. */
export function toOpenResponse(job: ResponseJob & { readonly status: JobStatus }): Response {
  return toResponse(job, { status: job.status === "queued" ? "queued" : "in_progress" });
}

const cachedSchema = z.looseObject({ cached_tokens: z.int().min(0) });
const reasonedSchema = z.looseObject({ reasoning_tokens: z.int().min(0) });

function toResponseUsage(usage: Usage): ResponseUsage {
  const cached = find(cachedSchema, usage["prompt_tokens_details"]);
  const reasoned = find(reasonedSchema, usage["completion_tokens_details"]);
  return {
    input_tokens: usage.prompt_tokens,
    // What the engine wrote to its cache it does not tell.
    input_tokens_details: { cached_tokens: cached?.cached_tokens ?? 0, cache_write_tokens: 0 },
    output_tokens: usage.completion_tokens ?? 0,
    output_tokens_details: { reasoning_tokens: reasoned?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens,
  };
}

/** A response's error has one of OpenAI's codes; our own is in the stream's and in the job's. */
function toResponseError({ code, message }: ErrorBody): { code: string; message: string } {
  return { code: code === "engine_rejected" ? "invalid_prompt" : "server_error", message };
}

function instructionsOf({ request, response }: ResponseJob["spec"]): string | null {
  if (response?.has_instructions !== true) return null;
  const messages = find(messagesSchema, request["messages"]);
  return messages?.[0].content ?? null;
}

function toolsOf(tools: unknown): object[] {
  return (find(toolsSchema, tools) ?? []).map(({ function: definition }) => ({
    type: "function",
    description: null,
    parameters: null,
    strict: null,
    ...definition,
  }));
}

function formatOf(format: unknown): object {
  const found = find(formatSchema, format);
  if (found === null) return { type: "text" };
  return found.type === "json_object" ? found : { type: found.type, ...found.json_schema };
}

/** The value, where it is of the kind; the request may hold anything that an engine might take. */
function find<Value>(schema: z.ZodType<Value>, value: unknown): Value | null {
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : null;
}
