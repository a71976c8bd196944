import type { ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";

import { keys } from "./keys.ts";
import type { EndedJob } from "./outbox.ts";
import type { EndTaker } from "./settler.ts";

/** Jobs that the mean is taken over: of older ones less and less is left in it. */
const SPAN = 32;

/** What a model's chats took lately that set no bound to their output. */
interface TypicalOutput {
  /** A moving mean. */
  readonly tokens: number;
  /** Jobs that it comes from, 32 for any more. */
  readonly count: number;
}

/**
 * Learns what chats take that set no bound to their output, by model, from those that end. A job that
 * is told of twice counts twice: for a mean that is no harm.
 */
export class TypicalOutputs implements EndTaker {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  readonly take = async (code: ModelCode, jobs: readonly EndedJob[]): Promise<void> => {
    const taken = jobs.flatMap(({ owner, end }) =>
      owner.unbounded === true ? (end.outcome.usage?.completion_tokens ?? []) : [],
    );
    if (taken.length === 0) return;
    const before = parse(await this.#redis.hget(keys.typicalOutputs, code));
    const { tokens, count } = taken.reduce(follow, before ?? { tokens: 0, count: 0 });
    await this.#redis.hset(keys.typicalOutputs, code, `${Math.ceil(tokens)} ${count}`);
  };
}

function follow({ tokens, count }: TypicalOutput, taken: number): TypicalOutput {
  const next = Math.min(count + 1, SPAN);
  return { tokens: tokens + (taken - tokens) / next, count: next };
}

/** Read them, by model code: only of models of which one is known. */
export async function readTypicalOutputs(redis: Redis): Promise<Map<string, TypicalOutput>> {
  const fields = await redis.hgetall(keys.typicalOutputs);
  const outputs = new Map<string, TypicalOutput>();
  for (const [code, text] of Object.entries(fields)) {
    const output = parse(text);
    if (output !== null) outputs.set(code, output);
  }
  return outputs;
}

function parse(text: string | null): TypicalOutput | null {
  const [, tokens, count] = /^(\d+) (\d+)$/.exec(text ?? "") ?? [];
  return tokens === undefined ? null : { tokens: Number(tokens), count: Number(count) };
}
