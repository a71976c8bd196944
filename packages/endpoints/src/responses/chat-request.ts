import {
  chatRequestSchema,
  responseRequestSchema,
  type EngineRequest,
  type FunctionTool,
  type ResponseRequest,
  type TextFormat,
  type ToolChoice,
} from "@headrace/contract";

import { validate } from "../validation.ts";
import { toMessages } from "./input-messages.ts";
import { refusal, refuseUnserved } from "./refusal.ts";

/** Fields that the translation has dealt with; all others reach the engine as sent. */
const HANDLED: ReadonlySet<string> = new Set(Object.keys(responseRequestSchema.shape));

/**
 * Read the body of `POST /v1/responses`.
 *
 * @throws PlatformError `request_invalid` naming the field
 */
export function readResponseRequest(body: unknown): ResponseRequest {
  const request = validate(responseRequestSchema, body);
  refuseUnserved(request);
  if (request.background === true && request.store === false) {
    throw refusal("store", "a background response must be stored, to be read at all; leave it out");
  }
  if (request.stream !== true && isGiven(request.stream_options)) {
    throw refusal(
      "stream_options",
      "only streams have options; send stream: true, or leave it out",
    );
  }
  assertChoosable(request);
  return request;
}

/**
 * Translate a response's request into the chat completion that answers it.
 *
 * @throws PlatformError `request_invalid` naming the field of the response's request
 */
export function toChatRequest(request: ResponseRequest): EngineRequest {
  const { instructions, input, text, reasoning } = request;
  const system = isGiven(instructions) ? [{ role: "system", content: instructions }] : [];
  const others = Object.entries(request).filter(([name]) => !HANDLED.has(name));
  const chat = {
    model: request.model,
    messages: [...system, ...toMessages(input)],
    ...given({
      max_tokens: request.max_output_tokens,
      temperature: request.temperature,
      top_p: request.top_p,
      reasoning_effort: reasoning?.effort,
      response_format: toResponseFormat(text?.format),
    }),
    ...toToolFields(request),
    ...toLogprobFields(request),
    ...given(Object.fromEntries(others)),
  };
  return validate(chatRequestSchema, chat);
}

function toToolFields({
  tools,
  tool_choice: choice,
  parallel_tool_calls: isParallel,
}: ResponseRequest): Record<string, unknown> {
  if (!isGiven(tools) || tools.length === 0) return {};
  return given({
    tools: tools.map(toChatTool),
    tool_choice: toChatChoice(choice),
    parallel_tool_calls: isParallel,
  });
}

function toChatTool({ type, name, description, parameters, strict }: FunctionTool): object {
  return { type, function: given({ name, description, parameters, strict }) };
}

function toChatChoice(choice: ToolChoice | null | undefined): unknown {
  if (typeof choice !== "object" || choice === null) return choice;
  return { type: "function", function: { name: choice.name } };
}

function toResponseFormat(format: TextFormat | null | undefined): object | undefined {
  if (!isGiven(format) || format.type === "text") return undefined;
  if (format.type === "json_object") return format;
  const { type, ...schema } = format;
  return { type, json_schema: given(schema) };
}

function toLogprobFields({
  top_logprobs: count,
  include,
}: ResponseRequest): Record<string, unknown> {
  const isWanted = include?.includes("message.output_text.logprobs") === true;
  if (!isWanted && (count ?? 0) === 0) return {};
  return { logprobs: true, top_logprobs: count ?? 0 };
}

/** An engine would refuse these in words that name fields of its own. */
function assertChoosable({ tools, tool_choice: choice }: ResponseRequest): void {
  if (choice === "required" && (tools ?? []).length === 0) {
    throw refusal("tool_choice", "there are no tools to choose from; send tools");
  }
  if (typeof choice !== "object" || choice === null) return;
  if (!(tools ?? []).some(({ name }) => name === choice.name)) {
    throw refusal("tool_choice.name", "no tool has this name; send it in tools");
  }
}

/** Leave out what was not given. */
function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => isGiven(value)));
}

function isGiven<Value>(value: Value | null | undefined): value is Value {
  return value !== null && value !== undefined;
}
