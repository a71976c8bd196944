import { isUtf8 } from "node:buffer";

import { PlatformError } from "@headrace/contract";

import { assertBounded, findForbiddenKey } from "./json-structure.ts";

/**
 * Parse what came from outside.
 *
 * @param what it is, for messages
 * @throws PlatformError `request_invalid` for what is empty or not JSON in UTF-8, nests too deeply
 *   or holds too much, or has a `__proto__` key
 */
export function parseJson(bytes: Buffer, what = "the body"): unknown {
  if (bytes.length === 0) throw invalid(`${what} is empty; expected a JSON object`);
  if (!isUtf8(bytes)) throw invalid(`${what} is not valid UTF-8`);
  assertBounded(bytes);
  const body = parse(bytes.toString(), what);
  const forbidden = findForbiddenKey(bytes, body);
  if (forbidden !== null) {
    throw new PlatformError("request_invalid", `${forbidden}: this name is not allowed`, {
      param: forbidden,
    });
  }
  return body;
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The parser's own message quotes the body.
    const place = /at position \d+/.exec(error instanceof Error ? error.message : "");
    throw invalid(`${what} is not valid JSON${place ? ` ${place[0]}` : ""}`);
  }
}

function invalid(message: string): PlatformError {
  return new PlatformError("request_invalid", message);
}
