import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import { ApiError } from "./api-error.ts";

/** Most bytes of a request body: room for a prompt of the longest model many times over. */
const MOST_BODY_BYTES = 32 * 1024 * 1024;

/**
 * Read a JSON body as `schema` describes it.
 *
 * Throws `ApiError` 400 for what is not JSON or not of that shape, 413 beyond 32 MiB.
 */
export async function readBody<Body>(
  request: IncomingMessage,
  schema: z.ZodType<Body>,
): Promise<Body> {
  const result = schema.safeParse(parseJson(await readText(request)));
  if (result.success) return result.data;
  const { issues } = result.error;
  const faults = issues.map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`);
  throw new ApiError(400, `${faults.length} validation error(s): ${faults.join("; ")}`, {
    param: issues[0]?.path.join("."),
  });
}

/** Answer with JSON. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, { status, contentType: "application/json", text: JSON.stringify(body) });
}

/** Answer with a short body of known length. */
export function send(
  response: ServerResponse,
  answer: { readonly status: number; readonly contentType: string; readonly text: string },
): void {
  response.writeHead(answer.status, {
    "content-type": answer.contentType,
    "content-length": Buffer.byteLength(answer.text),
  });
  response.end(answer.text);
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request) {
    const bytes: unknown = chunk;
    if (!Buffer.isBuffer(bytes)) throw new TypeError("a request body is read as bytes");
    sizeBytes += bytes.length;
    if (sizeBytes > MOST_BODY_BYTES) {
      throw new ApiError(413, `The body is larger than ${MOST_BODY_BYTES} bytes.`);
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ApiError(400, `The body is not JSON: ${String(cause)}`, { cause });
  }
}
