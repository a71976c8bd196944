import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { batchSchema, fileSchema, isTerminalBatch, type Batch } from "@headrace/contract";

import { MODEL, type Target } from "./stack.ts";

const LOOK_MS = 250;

/** What a line of a batch asks. */
export interface Question {
  readonly system?: string;
  readonly prompt: string;
  readonly outputTokens: number;
}

/** Give a benchmark a folder for the files of its batches, and remove it, however it ends. */
export async function withStorage<Found>(measure: (url: string) => Promise<Found>): Promise<Found> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-bench-"));
  try {
    return await measure(pathToFileURL(folder).href);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Upload questions as a file, and make a batch of it. */
export async function startBatch(api: Target, questions: readonly Question[]): Promise<Batch> {
  const lines = questions.map((question, i) => `${JSON.stringify(toLine(question, i))}\n`);
  const form = new FormData();
  form.set("purpose", "batch");
  form.set("file", new Blob(lines), "prompts.jsonl");
  const { authorization = "" } = api.headers;
  const upload = await fetch(`${api.url}/v1/files`, {
    method: "POST",
    headers: { authorization },
    body: form,
  });
  const { id } = fileSchema.parse(await upload.json());
  const made = await fetch(`${api.url}/v1/batches`, {
    method: "POST",
    headers: { ...api.headers },
    body: JSON.stringify({
      input_file_id: id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    }),
  });
  return batchSchema.parse(await made.json());
}

/** Wait for a batch's end, looking at something else each time. @throws Error unless all was answered */
export async function whenDone(
  api: Target,
  { id }: Batch,
  look: (batch: Batch) => Promise<void> = async () => {},
): Promise<Batch> {
  while (true) {
    const answer = await fetch(`${api.url}/v1/batches/${id}`, { headers: { ...api.headers } });
    const batch = batchSchema.parse(await answer.json());
    await look(batch);
    if (isTerminalBatch(batch.status)) {
      const { total, completed } = batch.request_counts;
      if (completed === total && total > 0) return batch;
      throw new Error(`the batch ended as ${batch.status}, with ${completed} of ${total} lines`);
    }
    await delay(LOOK_MS);
  }
}

function toLine({ system, prompt, outputTokens }: Question, number: number): object {
  const said = system === undefined ? [] : [{ role: "system", content: system }];
  return {
    custom_id: String(number),
    method: "POST",
    url: "/v1/chat/completions",
    body: {
      model: MODEL,
      max_tokens: outputTokens,
      ignore_eos: true,
      messages: [...said, { role: "user", content: prompt }],
    },
  };
}
