import { findJobId, responseIdOf } from "@headrace/contract";
import { request, type Dispatcher } from "undici";

/** Ways to ask about a job, or to do something to it, by its id alone. */
const WAYS = [
  ["GET", (job: string) => `/v1/jobs/${job}`],
  ["GET", (job: string) => `/v1/jobs/${job}/events`],
  ["POST", (job: string) => `/v1/jobs/${job}/cancel`],
  ["GET", (job: string) => `/v1/jobs/${job}/timeline`],
  ["DELETE", (job: string) => `/v1/jobs/${job}`],
  ["GET", (job: string) => `/v1/jobs/${job}/latency`],
  ["POST", (job: string) => `/v1/jobs/${job}/retry`],
  ["GET", (job: string) => `/v1/jobs?limit=100&after=${job}`],
  ["GET", () => "/v1/jobs?limit=100"],
  ["GET", (job: string) => `/v1/responses/${responseOf(job)}`],
  ["POST", (job: string) => `/v1/responses/${responseOf(job)}/cancel`],
  ["DELETE", (job: string) => `/v1/responses/${responseOf(job)}`],
] as const satisfies readonly (readonly [string, (job: string) => string])[];

const ANSWER_MS = 10_000;
/** What may be said to whoever asks for what is not theirs: there is none, or ask again later. */
const SILENT: ReadonlySet<number> = new Set([404, 429, 503]);

/** What came of one try of a job's id with another tenant's key. */
export interface Crossing {
  readonly job: string;
  /** Method and path. */
  readonly way: string;
  /** Null when there was no answer. */
  readonly status: number | null;
  /** Whether something was told, or done, that is the owner's alone. */
  readonly isLeak: boolean;
}

/** Whose key it is that tries, and where. */
export interface IntruderOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  readonly signal: AbortSignal;
}

/** Try the id of another tenant's job in one of all the ways there are. Never throws. */
export async function tryCrossing(
  { job, url, turn }: { readonly job: string; readonly url: string; readonly turn: number },
  { headers, dispatcher, signal }: IntruderOptions,
): Promise<Crossing> {
  const [method, pathOf] = WAYS[turn % WAYS.length] ?? WAYS[0];
  const path = pathOf(job);
  const way = `${method} ${path}`;
  try {
    const { statusCode, body } = await request(url + path, {
      method,
      headers,
      dispatcher,
      signal,
      headersTimeout: ANSWER_MS,
      bodyTimeout: ANSWER_MS,
    });
    // Events that come are a leak before their end, and only the first of them is waited for.
    const isStream = statusCode === 200 && path.endsWith("/events");
    const text = isStream ? "events" : await body.text();
    if (isStream) body.on("error", () => {}).destroy();
    const isOwnList = statusCode === 200 && path === "/v1/jobs?limit=100" && !text.includes(job);
    return { job, way, status: statusCode, isLeak: !SILENT.has(statusCode) && !isOwnList };
  } catch {
    return { job, way, status: null, isLeak: false };
  }
}

function responseOf(job: string): string {
  const id = findJobId(job);
  return id === null ? job : responseIdOf(id);
}
