import { setTimeout as delay } from "node:timers/promises";

import { Queue } from "bullmq";
import { Pool } from "undici";

import { readChatStream, type ChatCall } from "../chat-stream.ts";
import type { Measurements } from "../figure.ts";
import { pickUps } from "../loads/pick-ups.ts";
import { receptions } from "../loads/receptions.ts";
import { nowMs } from "../monotonic-clock.ts";
import { type Bench, MODEL, Stack } from "../stack.ts";
import { median, quantile } from "../statistics.ts";

const WARM_UP_PAIRS = 100;
const ROUNDS = 5;
const PAIRS_PER_ROUND = 50;
const SAMPLES_PER_ROUND = 50;
/** Samples of a fresh worker or subscriber that are not counted. */
const WARM_UP_SAMPLES = 20;
/** Between two requests, so that what the one left to be done does not slow the other. */
const REST_MS = 15;
/** What the two unavoidable hops through Redis cost, times this, is what Headrace may add. */
const ALLOWANCE = 2.5;

const REQUEST = {
  model: MODEL,
  messages: [{ role: "user", content: "Where does the water go?" }],
  max_tokens: 4,
  ignore_eos: true,
  stream: true,
};

/**
 * Measure the time that Headrace adds to the first token, one request at a time.
 *
 * Beside it, in the same minutes on the same Redis, the two hops that any durable queue needs: a
 * BullMQ job from before its `add` to its processor, and a message from `PUBLISH` to subscriber.
 * Both end in another process, as in Headrace, on the clock that all processes share.
 */
export function measureAddedTtft(bench: Bench): Promise<Measurements> {
  return Stack.with(bench, { engineFlags: ["--step-ms", "2"] }, async (stack) => {
    const pair = new PairOfClients(stack);
    await pair.addedMs(WARM_UP_PAIRS);
    const added: number[][] = [];
    const pickUpMs: number[] = [];
    const publishMs: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      bench.say(`round ${round + 1} of ${ROUNDS}`);
      added.push(await pair.addedMs(PAIRS_PER_ROUND));
      pickUpMs.push(...(await samplePickUps(stack)));
      publishMs.push(...(await samplePublishes(stack)));
    }
    await pair.close();
    return judge({ added, pickUpMs, publishMs });
  });
}

function judge(found: {
  readonly added: readonly (readonly number[])[];
  readonly pickUpMs: readonly number[];
  readonly publishMs: readonly number[];
}): Measurements {
  const all = found.added.flat();
  const pickUpMs = median(found.pickUpMs);
  const publishMs = median(found.publishMs);
  const unit = "ms";
  return {
    added_ttft_ms: {
      value: median(all),
      unit,
      limit: { value: ALLOWANCE * (pickUpMs + publishMs), bound: "at_most" },
      rounds: found.added.map(median),
    },
    added_ttft_p99_ms: {
      value: quantile(all, 0.99),
      unit,
      limit: null,
      rounds: found.added.map((round) => quantile(round, 0.99)),
    },
    bare_pick_up_ms: { value: pickUpMs, unit, limit: null },
    bare_publish_ms: { value: publishMs, unit, limit: null },
  };
}

/** The same client twice: one asks Headrace, one the engine. */
class PairOfClients {
  readonly #headrace: { readonly pool: Pool; readonly call: ChatCall };
  readonly #engine: { readonly pool: Pool; readonly call: ChatCall };

  constructor({ api, engine }: Stack) {
    const body = JSON.stringify(REQUEST);
    this.#headrace = { pool: new Pool(api.url), call: { headers: api.headers, body } };
    this.#engine = { pool: new Pool(engine.url), call: { headers: engine.headers, body } };
  }

  /** Ask both in turn, the other one first each time. */
  async addedMs(pairs: number): Promise<number[]> {
    const added: number[] = [];
    for (let pair = 0; pair < pairs; pair += 1) {
      if (pair % 2 === 0) {
        const directMs = await ttftMs(this.#engine);
        added.push((await ttftMs(this.#headrace)) - directMs);
      } else {
        const queuedMs = await ttftMs(this.#headrace);
        added.push(queuedMs - (await ttftMs(this.#engine)));
      }
    }
    return added;
  }

  async close(): Promise<void> {
    await Promise.all([this.#headrace.pool.close(), this.#engine.pool.close()]);
  }
}

async function ttftMs({
  pool,
  call,
}: {
  readonly pool: Pool;
  readonly call: ChatCall;
}): Promise<number> {
  const sentAt = performance.now();
  let firstAt: number | null = null;
  await readChatStream(pool, call, () => {
    firstAt ??= performance.now();
  });
  if (firstAt === null) throw new Error("a stream had no text");
  await delay(REST_MS);
  return firstAt - sentAt;
}

async function samplePickUps(stack: Stack): Promise<number[]> {
  const { redisUrl } = stack;
  const queue = new Queue("bare-pick-up", { connection: { url: redisUrl } });
  const peer = stack.startLoad();
  const count = WARM_UP_SAMPLES + SAMPLES_PER_ROUND;
  const [sentAtMs, { atMs }] = await Promise.all([
    sendInTurn(count, () => queue.add("generate", REQUEST)),
    peer.run(pickUps, { redisUrl, queue: queue.name, count }),
  ]);
  await Promise.all([queue.close(), peer.stop()]);
  return differences(sentAtMs, atMs);
}

async function samplePublishes(stack: Stack): Promise<number[]> {
  const { redis, redisUrl } = stack;
  const channel = "bare-publish";
  const message = JSON.stringify(REQUEST);
  const peer = stack.startLoad();
  const count = WARM_UP_SAMPLES + SAMPLES_PER_ROUND;
  const publishInTurn = async (): Promise<number[]> => {
    while ((await redis.pubsub("NUMSUB", channel))[1] === 0) await delay(REST_MS);
    return sendInTurn(count, () => redis.publish(channel, message));
  };
  const [sentAtMs, { atMs }] = await Promise.all([
    publishInTurn(),
    peer.run(receptions, { redisUrl, channel, count }),
  ]);
  await peer.stop();
  return differences(sentAtMs, atMs);
}

async function sendInTurn(count: number, send: () => Promise<unknown>): Promise<number[]> {
  const sentAtMs: number[] = [];
  for (let sample = 0; sample < count; sample += 1) {
    sentAtMs.push(nowMs());
    await send();
    await delay(REST_MS);
  }
  return sentAtMs;
}

function differences(fromMs: readonly number[], toMs: readonly number[]): number[] {
  return toMs.map((at, sample) => at - (fromMs[sample] ?? NaN)).slice(WARM_UP_SAMPLES);
}
