import { expectedChatText } from "@headrace/engine-sim/language";
import { Pool } from "undici";
import { z } from "zod";

import { contentOf } from "../chat-stream.ts";
import { defineLoad } from "../load.ts";
import { fieldOf } from "../json-field.ts";
import { readEvents } from "../sse-lines.ts";
import { quantile } from "../statistics.ts";

/** Jobs submitted side by side; their readers come on top. */
const SUBMITTING = 32;

const taskSchema = z.strictObject({
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  model: z.string(),
  readers: z.int(),
  /** Output of the shortest job and of the longest; the others lie between. */
  fewestTokens: z.int(),
  mostTokens: z.int(),
});
type Task = z.infer<typeof taskSchema>;

const submittedSchema = z.object({ id: z.string(), events_url: z.string() });

/** Submits jobs, reads the events of each as they come, and compares the texts to what they must be. */
export const eventReaders = defineLoad({
  name: "event-readers",
  task: taskSchema,
  answer: z.strictObject({
    /** Jobs whose reader got the whole text and the end. */
    complete: z.int(),
    /** Most readers that were between their first output and their end at once. */
    atOnce: z.int(),
    /** Between consecutive events with output of one reader: the value that 1 % exceeds. */
    gapP99Ms: z.number(),
    gapMaxMs: z.number(),
  }),
  run: async (task) => {
    const pool = new Pool(task.url, { bodyTimeout: 0, headersTimeout: 0 });
    const readers = Array.from(
      { length: task.readers },
      (_value, index) => new EventReader(task, index),
    );
    const crowd = { now: 0, most: 0 };
    const waiting = readers.values();
    const streams: Promise<void>[] = [];
    const submitInTurn = async (): Promise<void> => {
      for (const reader of waiting) {
        const path = await reader.submit(pool);
        streams.push(reader.read(pool, path, crowd));
      }
    };
    await Promise.all(Array.from({ length: SUBMITTING }, submitInTurn));
    await Promise.all(streams);
    await pool.close();
    const gapsMs = readers.flatMap((reader) => reader.gapsMs);
    return {
      complete: readers.filter((reader) => reader.isComplete).length,
      atOnce: crowd.most,
      gapP99Ms: quantile(gapsMs, 0.99),
      gapMaxMs: quantile(gapsMs, 1),
    };
  },
});

/** One job and the reader of its events. */
class EventReader {
  readonly gapsMs: number[] = [];
  readonly #task: Task;
  readonly #maxTokens: number;
  readonly #messages: { readonly role: "user"; readonly content: string }[];
  #text = "";
  #hasEnded = false;
  #outputAt = 0;

  constructor(task: Task, index: number) {
    const { fewestTokens, mostTokens } = task;
    this.#task = task;
    this.#maxTokens = fewestTokens + (index % (mostTokens - fewestTokens + 1));
    this.#messages = [{ role: "user", content: `Tell me about canal number ${index}.` }];
  }

  /** Whether all came, and nothing else. */
  get isComplete(): boolean {
    const expected = expectedChatText(this.#messages, {
      maxTokens: this.#maxTokens,
      ignoreEos: true,
    });
    return this.#hasEnded && this.#text === expected.text;
  }

  /** Submit the job. @returns the path of its events */
  async submit(pool: Pool): Promise<string> {
    const { model, headers } = this.#task;
    const request = {
      model,
      messages: this.#messages,
      max_tokens: this.#maxTokens,
      ignore_eos: true,
    };
    const { statusCode, body } = await pool.request({
      path: "/v1/jobs",
      method: "POST",
      headers,
      body: JSON.stringify({ endpoint: "/v1/chat/completions", request }),
    });
    const answer = await body.text();
    if (statusCode !== 202) throw new Error(`not accepted: ${answer}`);
    return new URL(submittedSchema.parse(JSON.parse(answer)).events_url, this.#task.url).pathname;
  }

  /** Read to the end. `crowd` counts the readers that are in the midst of it. */
  async read(pool: Pool, path: string, crowd: { now: number; most: number }): Promise<void> {
    const { headers } = this.#task;
    const { statusCode, body } = await pool.request({ path, method: "GET", headers });
    if (statusCode !== 200) throw new Error(`no events: ${await body.text()}`);
    body.setEncoding("utf8");
    await readEvents(body, (data) => {
      const event: unknown = JSON.parse(data);
      const type = fieldOf(event, "type");
      if (type === "job.completed") this.#hasEnded = true;
      if (type !== "output.delta") return;
      if (this.#outputAt === 0) {
        crowd.now += 1;
        crowd.most = Math.max(crowd.most, crowd.now);
      }
      this.#take(contentOf(event));
    });
    crowd.now -= 1;
  }

  #take(text: string): void {
    const at = performance.now();
    if (this.#outputAt > 0) this.gapsMs.push(at - this.#outputAt);
    this.#outputAt = at;
    this.#text += text;
  }
}
