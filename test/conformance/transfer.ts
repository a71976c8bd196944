import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { openObjects } from "@headrace/storage";

const MEBIBYTE = 1_048_576;
const CHUNK_BYTES = 65_536;

// Puts so many bytes and reads them back, as streams, in a process that does nothing else, and says whether
// they are the same and what the peak of its memory grew by. A few come first: they load the code.
const [url = "", bytes = ""] = process.argv.slice(2);
const objects = await openObjects(url);
await move(8 * MEBIBYTE);
const before = await peakBytes();
const { isSame, sizeBytes } = await move(Number(bytes));
const grownBytes = (await peakBytes()) - before;
process.stdout.write(`${JSON.stringify({ isSame, sizeBytes, grownBytes })}\n`);

async function move(
  count: number,
): Promise<{ readonly isSame: boolean; readonly sizeBytes: number }> {
  const stored = await objects.put("transfer", chunks(count));
  const { sizeBytes: foundBytes, body } = await objects.read("transfer");
  const hash = createHash("sha256");
  for await (const chunk of body) hash.update(chunk);
  await objects.delete("transfer");
  return { isSame: hash.digest("hex") === stored.sha256, sizeBytes: foundBytes };
}

async function* chunks(count: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < count; at += CHUNK_BYTES) {
    yield Buffer.alloc(Math.min(CHUNK_BYTES, count - at), `${at}.`);
  }
}

/** The most memory that this process ever had. */
async function peakBytes(): Promise<number> {
  const text = await readFile("/proc/self/status", "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) * 1_024;
}
