import { hash } from "node:crypto";

import type { BatchEndpoint } from "@headrace/contract";

/** Prompts that begin alike for so many characters stand together: some 250 tokens, 16 blocks of a cache. */
const SHORT = 1_024;
/** And of those, such as have all but the question in common; or so much, where there is but one part. */
const LONG = 4_096;

/**
 * Digest what a prompt begins with: a little of it, and more of it. Digests are equal where the
 * beginnings are; that they are equal by chance is harmless where they serve to order lines.
 */
export function digestPrefixes(
  endpoint: BatchEndpoint,
  body: Readonly<Record<string, unknown>>,
): [number, number] {
  const parts = partsOf(endpoint, body);
  const text = parts.join("\n");
  const most = parts.length > 1 ? parts.slice(0, -1).join("\n") : text.slice(0, LONG);
  return [digest(text.slice(0, SHORT)), digest(most)];
}

/** What the prompt is made of, in the order in which a template writes it; the question last. */
function partsOf(endpoint: BatchEndpoint, body: Readonly<Record<string, unknown>>): string[] {
  const { tools, messages, instructions, input, prompt } = body;
  switch (endpoint) {
    case "/v1/chat/completions":
      return [...toTexts(tools === undefined ? [] : [tools]), ...toTexts(messages)];
    case "/v1/responses":
      return [...toTexts([tools ?? "", instructions ?? ""]), ...toTexts(input)];
    case "/v1/completions":
      return toTexts([prompt]);
    case "/v1/embeddings":
      return [];
  }
}

function toTexts(values: unknown): string[] {
  const list: unknown[] = Array.isArray(values) ? values : [values];
  return list.map((value) => (typeof value === "string" ? value : (JSON.stringify(value) ?? "")));
}

function digest(text: string): number {
  return hash("sha256", text, "buffer").readUInt32LE();
}
