import { readFile } from "node:fs/promises";

import OpenAI, { NotFoundError } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";

import { API_KEY, Platform } from "../platform.ts";
import { CREDENTIALS, VersityGateway } from "./versity-gateway.ts";

const MEBIBYTE = 1_048_576;
const SIZE_BYTES = 190 * MEBIBYTE;
/** What an ingress may grow by: mostly what the garbage collector leaves lying. */
const GROWTH_BYTES = 110 * MEBIBYTE;

let gateway: VersityGateway;
let platform: Platform;

beforeAll(async () => {
  gateway = await VersityGateway.start();
  const ingress = { STORAGE_URL: gateway.newPlace(), ...CREDENTIALS };
  platform = await Platform.start({ ingress, workers: 0 });
});
afterAll(async () => {
  await platform.stop();
  await gateway.stop();
});

test("a large file goes through an ingress to S3 and back, in flat memory", async () => {
  const openai = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: API_KEY, maxRetries: 0 });
  const before = await peakOf(platform.ingress.pid);
  const piece = new Uint8Array(MEBIBYTE).fill(97);
  const content = new Blob(Array.from({ length: SIZE_BYTES / MEBIBYTE }, () => piece));
  const file = await openai.files.create({ file: new File([content], "a"), purpose: "batch" });
  const response = await openai.files.content(file.id);
  let readBytes = 0;
  for await (const chunk of response.body ?? []) readBytes += chunk.length;
  const part = await platform.call(`/v1/files/${file.id}/content`, {
    headers: { range: "bytes=5-8" },
  });

  expect(file.bytes).toBe(SIZE_BYTES);
  expect(readBytes).toBe(SIZE_BYTES);
  expect(await part.text()).toBe("aaaa");
  expect((await peakOf(platform.ingress.pid)) - before).toBeLessThan(GROWTH_BYTES);
  await openai.files.delete(file.id);
  await expect(openai.files.content(file.id)).rejects.toBeInstanceOf(NotFoundError);
});

/** The most memory that a process ever had, bytes. */
async function peakOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) * 1_024;
}
