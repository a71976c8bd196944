import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import type { Redis } from "ioredis";
import type { z } from "zod";

/** A Lua script as a function: keys, arguments, checked reply. */
export type Script<Reply> = (
  redis: Redis,
  keys: readonly string[],
  args: readonly (string | number)[],
) => Promise<Reply>;

/**
 * Load `lua/<name>.lua` as a function whose replies are checked against `reply`.
 *
 * Runs by hash; sends the source only when Redis does not know it (first use, failover,
 * `SCRIPT FLUSH`).
 */
export function script<Reply>(name: string, reply: z.ZodType<Reply>): Script<Reply> {
  const source = assemble(name);
  const hash = createHash("sha1").update(source).digest("hex");

  return async (redis, keys, args) => {
    let answer: unknown;
    try {
      answer = await redis.evalsha(hash, keys.length, ...keys, ...args);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      answer = await redis.eval(source, keys.length, ...keys, ...args);
    }
    return reply.parse(answer);
  };
}

/** Put each `-- @include <part>` in its place, once, however many parts ask for it. */
function assemble(name: string): string {
  const included = new Set<string>();
  const expand = (path: string): string =>
    readFileSync(new URL(`../lua/${path}.lua`, import.meta.url), "utf8").replaceAll(
      /^-- @include (\S+)$/gm,
      (_line, part: string) => {
        if (included.has(part)) return "";
        included.add(part);
        return expand(`include/${part}`);
      },
    );
  return expand(name);
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOSCRIPT");
}
