import { createReadStream, statSync } from "node:fs";
import { basename } from "node:path";

import type { ProgressDisplay } from "./progress-display.ts";
import { retrying } from "./retrying.ts";
import type { RunContext } from "./run-batch.ts";

const MEBIBYTE = 1_048_576;

/** Upload the draft of a run, as it is read from the disk. @returns the file's id */
export async function uploadRequests(
  { headrace, files, signal }: Pick<RunContext, "headrace" | "files" | "signal">,
  display: ProgressDisplay,
  model: string,
): Promise<string> {
  const { size } = statSync(files.upload);
  const filename = `${basename(files.answers)}.requests.jsonl`;
  display.say(`uploading ${(size / MEBIBYTE).toFixed(1)} MiB of requests for ${model} …`);
  const { id } = await retrying(signal, () =>
    headrace.files.upload({ content: createReadStream(files.upload), filename }, { signal }),
  );
  return id;
}
