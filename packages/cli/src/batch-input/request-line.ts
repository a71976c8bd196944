import {
  batchInputLineSchema,
  REQUEST_SCHEMAS,
  responseRequestSchema,
  type BatchEndpoint,
} from "@headrace/contract";
import type { z } from "zod";

import { findPrompt, type PromptSource } from "./prompt.ts";
import { isRecord, type Row } from "./row.ts";

/** What becomes of each row, as the command line has it. */
export interface LineOptions extends PromptSource {
  readonly endpoint: BatchEndpoint | undefined;
  /** Wins over what lines say. */
  readonly model: string | undefined;
  /** These hold where a line says nothing. */
  readonly system: string | undefined;
  readonly maxTokens: number | undefined;
  readonly temperature: number | undefined;
}

/** What holds for a whole batch. */
export interface Settled {
  readonly endpoint: BatchEndpoint;
  readonly model: string;
}

/** A line of a batch. */
export interface RequestLine {
  readonly customId: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** As it is uploaded, without the line's end. */
  readonly text: string;
}

/** A row that no request can be made of. The message says why. */
export class RowFault extends Error {
  override readonly name = "RowFault";
}

type Fields = Readonly<Record<string, unknown>>;
type GoodRow = Extract<Row, { readonly fields: Fields }>;

/**
 * Settle what the first row says of the whole: OpenAI's lines name endpoint and model themselves.
 *
 * @param findModel asked where neither the command line nor the row names one
 */
export async function settle(
  { fields: all, text }: GoodRow,
  { endpoint, model }: LineOptions,
  findModel: () => Promise<string>,
): Promise<Settled> {
  // A table's columns are data, whatever they are called.
  const fields = text === null ? {} : all;
  const body = isRecord(fields["body"]) ? fields["body"] : fields;
  const url = batchInputLineSchema.shape.url.safeParse(fields["url"]).data;
  const named = typeof body["model"] === "string" ? body["model"] : undefined;
  return {
    endpoint: endpoint ?? url ?? "/v1/chat/completions",
    model: model ?? named ?? (await findModel()),
  };
}

/**
 * Make a line of a batch from a row, and check it as the server will. A line of OpenAI's that lacks
 * nothing stays as it came, to the byte.
 *
 * @throws RowFault
 */
export function toRequestLine(row: GoodRow, options: LineOptions, settled: Settled): RequestLine {
  const { fields, at } = row;
  const customId = toCustomId(fields[options.idColumn ?? "custom_id"], at, options.idColumn);
  const isOpenAi = row.text !== null && Object.hasOwn(fields, "body");
  const given = isOpenAi ? givenBody(fields, settled) : promptBody(row, options, settled);
  const body = complete(given, options, settled);
  const line = {
    custom_id: customId,
    method: isOpenAi ? (fields["method"] ?? "POST") : "POST",
    url: settled.endpoint,
    body,
  };
  assertValid(line, settled.endpoint);
  const isAsCame =
    row.text !== null &&
    isOpenAi &&
    body === fields["body"] &&
    fields["method"] !== undefined &&
    fields["url"] !== undefined &&
    fields["custom_id"] === customId;
  return { customId, body, text: isAsCame ? row.text.trim() : JSON.stringify(line) };
}

function toCustomId(value: unknown, at: number, column: string | undefined): string {
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value === "string" && value !== "") return value;
  const isAbsent = value === undefined || value === null;
  if (isAbsent && column === undefined) return `line-${at}`;
  const name = column ?? "custom_id";
  throw new RowFault(isAbsent ? `${name}: required` : `${name}: expected a text or a number`);
}

/** The body of a line that is OpenAI's already. */
function givenBody(fields: Fields, { endpoint }: Settled): Fields {
  const { url, body } = fields;
  if (url !== undefined && url !== endpoint) {
    throw new RowFault(`url: found ${JSON.stringify(url)}, and this batch is for ${endpoint}`);
  }
  if (!isRecord(body)) throw new RowFault("body: expected an object");
  return body;
}

function promptBody({ fields, text }: GoodRow, options: LineOptions, settled: Settled): Fields {
  const { endpoint } = settled;
  const found = findPrompt(fields, { source: options, endpoint: text === null ? null : endpoint });
  if (found === null) throw new RowFault(describeMissing(fields, options));
  const { prompt, rest } = found;
  if (prompt === undefined) return rest;
  switch (endpoint) {
    case "/v1/chat/completions":
      return { ...rest, messages: [{ role: "user", content: prompt }] };
    case "/v1/completions":
      return { ...rest, prompt };
    case "/v1/embeddings":
    case "/v1/responses":
      return { ...rest, input: prompt };
  }
}

function describeMissing(fields: Fields, { column, template }: LineOptions): string {
  const there = `there is ${Object.keys(fields).join(", ") || "nothing"}`;
  const missing = template?.fields.find((name) => !Object.hasOwn(fields, name)) ?? column;
  if (missing === undefined) return `no prompt; ${there}; name the one with --column or --template`;
  return Object.hasOwn(fields, missing) ? `${missing}: empty` : `no ${missing}; ${there}`;
}

/** Put in what the command line says. @returns the same object where nothing is to be put in */
function complete(body: Fields, options: LineOptions, { endpoint, model }: Settled): Fields {
  const more: Record<string, unknown> = {};
  const named = body["model"];
  if (named !== undefined && named !== model && options.model === undefined) {
    throw new RowFault(
      `model: found ${JSON.stringify(named)}, and the first line's is ${JSON.stringify(model)}; a batch is for one, which --model names`,
    );
  }
  if (named !== model) more["model"] = model;
  if (options.temperature !== undefined && body["temperature"] === undefined) {
    more["temperature"] = options.temperature;
  }
  const isBounded = ["max_tokens", "max_completion_tokens", "max_output_tokens"].some(
    (field) => body[field] !== undefined,
  );
  if (options.maxTokens !== undefined && !isBounded) {
    more[endpoint === "/v1/responses" ? "max_output_tokens" : "max_tokens"] = options.maxTokens;
  }
  Object.assign(more, systemOf(body, options.system, endpoint));
  return Object.keys(more).length === 0 ? body : { ...body, ...more };
}

function systemOf(body: Fields, system: string | undefined, endpoint: BatchEndpoint): Fields {
  if (system === undefined) return {};
  if (endpoint === "/v1/responses") {
    return body["instructions"] === undefined ? { instructions: system } : {};
  }
  const { messages } = body;
  if (!Array.isArray(messages)) return {};
  const [first]: unknown[] = messages;
  if (isRecord(first) && (first["role"] === "system" || first["role"] === "developer")) return {};
  return { messages: [{ role: "system", content: system }, ...messages] };
}

function assertValid(line: object & { readonly body: Fields }, endpoint: BatchEndpoint): void {
  const outer = batchInputLineSchema.safeParse(line);
  if (!outer.success) throw new RowFault(describeIssues(outer.error, ""));
  const schema = endpoint === "/v1/responses" ? responseRequestSchema : REQUEST_SCHEMAS[endpoint];
  const inner = schema.safeParse(line.body);
  if (!inner.success) throw new RowFault(describeIssues(inner.error, "body."));
}

function describeIssues({ issues }: z.ZodError, prefix: string): string {
  const [first] = issues;
  if (first === undefined) return "not a request";
  return `${prefix}${first.path.map(String).join(".")}: ${first.message}`;
}
