import { Headrace } from "@headrace/client";
import { jobEventSchema } from "@headrace/contract";
import { expectedChatText } from "@headrace/engine-sim/language";
import OpenAI from "openai";
import { expect, test } from "vitest";
import { z } from "zod";

import { API_KEY, Platform } from "../platform.ts";
import { Balancer } from "./balancer.ts";
import { readEventSource, type Message } from "./event-source.ts";

const MODEL = "headrace-sim-8b";
const TOKENS = 200;
const READERS = 4;

const messages = (content: string): { role: "user"; content: string }[] => [
  { role: "user", content },
];
const expectedOf = (content: string): string =>
  expectedChatText(messages(content), { maxTokens: TOKENS }).text;
const requestOf = (content: string) => ({
  model: MODEL,
  messages: messages(content),
  max_tokens: TOKENS,
});

const contentSchema = z.looseObject({ content: z.string().default("") });
const isLast = ({ type }: Message): boolean => type === "job.completed";

/** Counts those who have begun to read, so that the stop comes while all of them do. */
class Beginnings {
  #left: number;
  readonly #all = Promise.withResolvers<void>();

  constructor(count: number) {
    this.#left = count;
  }

  get all(): Promise<void> {
    return this.#all.promise;
  }

  /** @returns what one reader calls at its first piece, and at each further one */
  one(): () => void {
    let hasBegun = false;
    return () => {
      if (hasBegun) return;
      hasBegun = true;
      this.#left -= 1;
      if (this.#left === 0) this.#all.resolve();
    };
  }
}

test("nobody is cut when one of two ingresses stops under way", { timeout: 60_000 }, async () => {
  const platform = await Platform.start({
    ingresses: 2,
    ingress: { INGRESS_UNREADY_MS: "400" },
  });
  const [leaving, staying] = platform.ingresses;
  const balancer = await Balancer.start([leaving?.url ?? "", staying?.url ?? ""]);
  try {
    const client = new Headrace({ url: balancer.url, apiKey: API_KEY });
    const openai = new OpenAI({ baseURL: `${balancer.url}/v1`, apiKey: API_KEY, maxRetries: 0 });
    const names = Array.from({ length: READERS }, (_, at) => at);
    const beginnings = new Beginnings(READERS * 3);

    const streams = names.map(async (at) => {
      const begun = beginnings.one();
      let text = "";
      const stream = await openai.chat.completions.create({ ...requestOf(`S${at}`), stream: true });
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        begun();
      }
      return text;
    });
    const wholes = names.map(async (at) => {
      const { choices } = await openai.chat.completions.create(requestOf(`W${at}`));
      return choices[0]?.message.content;
    });
    const feeds = names.map(async (at) => {
      const begun = beginnings.one();
      const endpoint = "/v1/chat/completions";
      const { id } = await client.submit({ endpoint, request: requestOf(`F${at}`) });
      let text = "";
      for await (const piece of client.text(id)) {
        text = piece.reset ? piece.text : text + piece.text;
        begun();
      }
      return text;
    });
    const sources = names.map(async (at) => {
      const begun = beginnings.one();
      const endpoint = "/v1/chat/completions";
      const { id } = await client.submit({ endpoint, request: requestOf(`E${at}`) });
      const read = { text: "", connections: 0, ids: new Set<string>(), repeats: 0 };
      const url = `${balancer.url}/v1/jobs/${id}/events`;
      const headers = { authorization: `Bearer ${API_KEY}` };
      for await (const { id: place, type, data, connection } of readEventSource(
        url,
        headers,
        isLast,
      )) {
        read.connections = connection;
        if (type === "job.queued") continue;
        if (read.ids.has(place)) read.repeats += 1;
        read.ids.add(place);
        const event = jobEventSchema.parse(JSON.parse(data));
        if (event.type !== "output.delta") continue;
        read.text += contentSchema.parse(event.choices?.[0]?.delta ?? {}).content;
        begun();
      }
      return read;
    });

    await beginnings.all;
    const exitCode = leaving?.stop();
    // New calls come all the while, and none of them may notice.
    const calls: Promise<number>[] = [];
    const caller = setInterval(() => {
      const url = `${balancer.url}/v1/models`;
      const headers = { authorization: `Bearer ${API_KEY}` };
      calls.push(
        fetch(url, { headers }).then(async (answer) => {
          await answer.text();
          return answer.status;
        }),
      );
    }, 20);
    await exitCode;
    const read = await Promise.all(sources);
    clearInterval(caller);

    expect(await Promise.all(streams)).toEqual(names.map((at) => expectedOf(`S${at}`)));
    expect(await Promise.all(wholes)).toEqual(names.map((at) => expectedOf(`W${at}`)));
    expect(await Promise.all(feeds)).toEqual(names.map((at) => expectedOf(`F${at}`)));
    expect(read.map(({ text }) => text)).toEqual(names.map((at) => expectedOf(`E${at}`)));
    expect(read.map(({ repeats }) => repeats)).toEqual(names.map(() => 0));
    // The stop came while they read: each had to come back until it found the other process.
    expect(Math.min(...read.map(({ connections }) => connections))).toBeGreaterThan(1);
    expect(await exitCode).toBe(0);
    expect(new Set(await Promise.all(calls))).toEqual(new Set([200]));
    expect(calls.length).toBeGreaterThan(10);
    expect(balancer.cuts).toBe(0);
  } finally {
    await balancer.close();
    await platform.stop();
  }
});

test("a stream has the grace that is set to end in", { timeout: 60_000 }, async () => {
  const platform = await Platform.start({
    ingress: { INGRESS_GRACE_MS: "45000" },
    engineFlags: ["--step-ms", "60"],
  });
  try {
    const [ingress] = platform.ingresses;
    const openai = new OpenAI({ baseURL: `${ingress?.url}/v1`, apiKey: API_KEY, maxRetries: 0 });
    let text = "";
    let isTold = false;
    // Twelve seconds: longer than a process gives that is not told to.
    const stream = await openai.chat.completions.create({ ...requestOf("G"), stream: true });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      if (!isTold) ingress?.signal("SIGTERM");
      isTold = true;
    }

    expect(text).toBe(expectedOf("G"));
    await expect.poll(() => ingress?.hasExited, { timeout: 5_000 }).toBe(true);
  } finally {
    await platform.stop();
  }
});
