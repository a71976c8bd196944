import type { Response } from "@headrace/contract";

import { readEntries, type LogReader } from "../log-reader.ts";
import { ResponseTranslator } from "./response-translator.ts";
import type { ResponseJob } from "./response-view.ts";

/** Read what a response whose job has ended came to. */
export async function readEndedResponse(log: LogReader, job: ResponseJob): Promise<Response> {
  const translator = new ResponseTranslator(job);
  for await (const entry of readEntries(log, job.id)) translator.take(entry);
  return translator.response;
}
