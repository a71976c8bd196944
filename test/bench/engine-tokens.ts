import type { Target } from "./stack.ts";

/** Tokens that the engine has generated so far. */
export async function readTokens({ url }: Target): Promise<number> {
  const response = await fetch(`${url}/metrics`);
  const page = await response.text();
  const [, count] = /^vllm:generation_tokens_total(?:\{.*\})? (\S+)/m.exec(page) ?? [];
  return Number(count);
}
