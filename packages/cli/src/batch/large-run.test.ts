import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { describe, expect } from "vitest";

import { answerOf, type TestApi } from "./test-api.ts";
import { batchTest as test } from "./test-command.ts";

const TEST_MS = 180_000;
const MEBIBYTE = 1_048_576;
const INPUT_BYTES = 200 * MEBIBYTE;
/** What the process may ever have: Node alone has 60 MiB, and does not hurry to give back. */
const PEAK_BYTES = 300 * MEBIBYTE;
const PROMPT = "word ".repeat(160);
const REQUESTS = Math.ceil(INPUT_BYTES / (PROMPT.length + 30));

function* prompts(): Generator<string> {
  for (let n = 1; n <= REQUESTS; n += 1) yield `{"prompt":"${PROMPT}${n}","max_tokens":8}\n`;
}

/**
 * What the requests are answered, the last one first.
 *
 * @yields a line each
 */
function* answers(): Generator<string> {
  for (let n = REQUESTS; n >= 1; n -= 1) yield toAnswer(n);
}

function toAnswer(n: number): string {
  return `${answerOf(`line-${n}`).replace("answer to", PROMPT)}\n`;
}

/** Have the API's batches end with as many answers as there are requests. */
function answerAll(api: TestApi): void {
  let bytes = 0;
  for (const answer of answers()) bytes += answer.length;
  api.intrude = ({ url }, response) => {
    if (url?.startsWith("/v1/files/file-large") !== true) return false;
    if (url.endsWith("/content")) Readable.from(answers()).pipe(response);
    else api.tellOfFile(response, "file-large", bytes);
    return true;
  };
  api.finish = (batch) => ({
    ...batch,
    status: "completed",
    completed_at: 9,
    output_file_id: "file-large",
    request_counts: { total: REQUESTS, completed: REQUESTS, failed: 0 },
  });
}

describe("a file of 200 MiB", () => {
  test(
    "is read, uploaded, and its answers put in order, in flat memory",
    { timeout: TEST_MS },
    async ({ start, api, folder }) => {
      const input = join(folder, "prompts.jsonl");
      const output = join(folder, "answers.jsonl");
      await pipeline(Readable.from(prompts()), createWriteStream(input));
      answerAll(api);
      const command = start("run", input, "-o", output);
      const code = await command.code();

      expect(command.err).toContain("answers in");
      expect(code).toBe(0);
      expect(command.peakBytes).toBeLessThan(PEAK_BYTES);
      const [uploaded] = [...api.uploads.values()];
      expect(uploaded?.sizeBytes).toBeGreaterThan(INPUT_BYTES);
      const expected = createHash("sha256");
      for (let n = 1; n <= REQUESTS; n += 1) expected.update(toAnswer(n));
      expect(await digestOf(output)).toBe(expected.digest("hex"));
    },
  );
});

async function digestOf(path: string): Promise<string> {
  await using handle = await open(path);
  const digest = createHash("sha256");
  for await (const chunk of handle.createReadStream()) digest.update(Buffer.from(chunk));
  return digest.digest("hex");
}
