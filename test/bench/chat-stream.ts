import type { Pool } from "undici";
import { z } from "zod";

import { fieldOf } from "./json-field.ts";
import { readEvents } from "./sse-lines.ts";

const DONE = "[DONE]";

const usageSchema = z.object({ completion_tokens: z.int() });

/** One streamed chat completion, of the engine or of Headrace: both speak the same. */
export interface ChatCall {
  readonly headers: Readonly<Record<string, string>>;
  /** JSON, with `stream` set. */
  readonly body: string;
}

/** What a whole stream came to. */
export interface ChatEnd {
  readonly text: string;
  /** Null when the call did not ask for it. */
  readonly completionTokens: number | null;
}

/**
 * Read a streamed chat completion as an efficient client does: undici's `request`, every chunk
 * parsed, its text taken. (undici's `fetch` costs twice as much; the official `openai` package uses
 * Node's own, of the same make.)
 *
 * @throws Error when the answer is not a whole stream
 */
export async function readChatStream(
  pool: Pool,
  { headers, body: request }: ChatCall,
  onText: (text: string) => void = () => {},
): Promise<ChatEnd> {
  const { statusCode, body } = await pool.request({
    path: "/v1/chat/completions",
    method: "POST",
    headers,
    body: request,
  });
  if (statusCode !== 200) throw new Error(`answered ${statusCode}: ${await body.text()}`);
  let text = "";
  let usage: unknown = null;
  let isWhole = false;
  body.setEncoding("utf8");
  await readEvents(body, (data) => {
    if (data === DONE) {
      isWhole = true;
      return;
    }
    const chunk: unknown = JSON.parse(data);
    const more = contentOf(chunk);
    if (more !== "") onText(more);
    text += more;
    usage = fieldOf(chunk, "usage") ?? usage;
  });
  if (!isWhole) throw new Error(`the stream broke off after ${text.length} characters`);
  const completionTokens = usage === null ? null : usageSchema.parse(usage).completion_tokens;
  return { text, completionTokens };
}

/** Find the text that a chunk, or an event of ours, adds to its first choice. */
export function contentOf(chunk: unknown): string {
  const choices = fieldOf(chunk, "choices");
  if (!Array.isArray(choices)) return "";
  const content = fieldOf(fieldOf(choices[0], "delta"), "content");
  return typeof content === "string" ? content : "";
}
