import { hash } from "node:crypto";

import { batchInputLineSchema, PlatformError, type BatchEndpoint } from "@headrace/contract";
import { parseJson, validate } from "@headrace/endpoints";
import { z } from "zod";

import { digestPrefixes } from "./prompt-prefix.ts";

/** What is wrong with a line of an input file, in OpenAI's codes. */
export interface LineFault {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
}

/** What a whole file's check must know of a line. */
export interface CheckedLine {
  readonly idDigest: bigint;
  readonly model: string;
  readonly prefixes: readonly [number, number];
}

const fieldsSchema = z.record(z.string(), z.unknown());
const modelSchema = z.looseObject({ model: z.string().min(1) });

/**
 * Check what can be said of a line by itself: that it is JSON, has all its fields, and is for the
 * batch's endpoint. What its `body` holds besides a model is judged when it is run, as OpenAI does.
 */
export function checkLine(bytes: Buffer, endpoint: BatchEndpoint): CheckedLine | LineFault {
  try {
    const value = parseJson(bytes, "the line");
    const fields = fieldsSchema.safeParse(value);
    if (!fields.success) return notJson("the line is not a JSON object");
    const { custom_id: id, url, body } = validate(batchInputLineSchema, value);
    if (url !== endpoint) return otherUrl(endpoint);
    const { model } = validate(modelSchema, body, "body");
    return { idDigest: digestId(id), model, prefixes: digestPrefixes(endpoint, body) };
  } catch (error) {
    if (!(error instanceof PlatformError)) throw error;
    return toFault(error, endpoint);
  }
}

/** Whether a check has found a fault. */
export function isFault(checked: CheckedLine | LineFault): checked is LineFault {
  return "code" in checked;
}

function toFault({ message, param }: PlatformError, endpoint: BatchEndpoint): LineFault {
  if (param === null) return notJson(message);
  if (param === "url") return otherUrl(endpoint);
  const isMissing = message.includes(": required");
  return { code: isMissing ? "missing_required_parameter" : "invalid_value", message, param };
}

function notJson(reason: string): LineFault {
  const message = `This line is not parseable as valid JSON: ${reason}.`;
  return { code: "invalid_json_line", message, param: null };
}

function otherUrl(endpoint: BatchEndpoint): LineFault {
  const message = `url: expected "${endpoint}", the endpoint of the batch`;
  return { code: "url_mismatch", message, param: "url" };
}

function digestId(id: string): bigint {
  return hash("sha256", id, "buffer").readBigUInt64LE();
}
