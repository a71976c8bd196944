import { z } from "zod";

/** Which requests a fault hits: all, unless narrowed. */
const selection = {
  /** Only the next so many. */
  times: z.int().min(1).optional(),
  /** Only this share of them, drawn by `seed`. */
  rate: z.number().min(0).max(1).optional(),
  seed: z.int().default(0),
  /** In a request body: what `times` and `rate` count by; default the fault itself. */
  key: z.string().max(200).optional(),
  /** Only requests to this path. */
  path: z.string().max(200).optional(),
};

const afterTokens = z.int().min(0).default(0);

/** Faults as callers ask for them, in a request's `headrace_fault` or at `POST /sim/faults`. */
export const faultSchema = z.discriminatedUnion("kind", [
  z.object({
    ...selection,
    kind: z.literal("429"),
    retry_after_seconds: z.number().min(0).optional(),
  }),
  z.object({ ...selection, kind: z.literal("503") }),
  z.object({ ...selection, kind: z.literal("500") }),
  z.object({
    ...selection,
    kind: z.literal("stall"),
    after_tokens: afterTokens,
    milliseconds: z.number().min(0).max(3_600_000),
  }),
  z.object({ ...selection, kind: z.literal("cut"), after_tokens: afterTokens }),
  z.object({
    ...selection,
    kind: z.literal("garbage"),
    after_tokens: afterTokens,
    form: z.enum(["json", "utf8"]).default("json"),
  }),
  z.object({ ...selection, kind: z.literal("slow"), factor: z.number().min(1).max(10_000) }),
  z.object({ ...selection, kind: z.literal("ignore-abort") }),
  z.object({ ...selection, kind: z.literal("hang-connect") }),
]);

/** One fault, parsed. */
export type Fault = z.output<typeof faultSchema>;

/** What goes wrong with one request. */
export interface FaultPlan {
  readonly refusal?: { readonly status: number; readonly retryAfterSeconds?: number | undefined };
  readonly stall?: { readonly afterTokens: number; readonly milliseconds: number };
  readonly cutAfterTokens?: number;
  readonly garbage?: { readonly afterTokens: number; readonly form: "json" | "utf8" };
  readonly slowFactor?: number;
  readonly ignoresAbort?: boolean;
  readonly hangs?: boolean;
}

interface Tally {
  matched: number;
  hits: number;
}

const MOST_SERVER_FAULTS = 64;
const MOST_KEYS = 10_000;

/** Knows which faults are in force and whom they still hit. */
export class FaultBook {
  #server: { readonly fault: Fault; readonly tally: Tally }[] = [];
  /** By key, least recently first met; the eldest are forgotten. */
  readonly #byKey = new Map<string, Tally>();

  /** Put a fault in force for all requests; false when too many are. */
  add(fault: Fault): boolean {
    if (this.#server.length >= MOST_SERVER_FAULTS) return false;
    this.#server.push({ fault, tally: { matched: 0, hits: 0 } });
    return true;
  }

  /** Lift all faults and forget all counts. */
  clear(): void {
    this.#server = [];
    this.#byKey.clear();
  }

  /** The faults in force, each with how many requests it has hit. */
  list(): object[] {
    return this.#server.map(({ fault, tally }) => ({ ...fault, hits: tally.hits }));
  }

  /** Decide what goes wrong with a request to `path` that asks for `requested` faults. */
  planFor(path: string, requested: readonly Fault[]): FaultPlan {
    const candidates = [
      ...this.#server,
      ...requested.map((fault) => ({ fault, tally: this.#tallyOf(fault) })),
    ];
    const hits = candidates.filter(({ fault, tally }) => isHit(fault, tally, path));
    let plan: FaultPlan = {};
    for (const { fault } of hits) plan = { ...plan, ...effectOf(fault) };
    return plan;
  }

  #tallyOf(fault: Fault): Tally {
    const key = `${fault.kind} ${fault.key ?? JSON.stringify(fault)}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const eldest = this.#byKey.keys().next().value;
    if (this.#byKey.size >= MOST_KEYS && eldest !== undefined) this.#byKey.delete(eldest);
    const tally = { matched: 0, hits: 0 };
    this.#byKey.set(key, tally);
    return tally;
  }
}

function isHit(fault: Fault, tally: Tally, path: string): boolean {
  if (fault.path !== undefined && fault.path !== path) return false;
  if (fault.times !== undefined && tally.hits >= fault.times) return false;
  tally.matched += 1;
  if (fault.rate !== undefined && chance(fault.seed, tally.matched) >= fault.rate) return false;
  tally.hits += 1;
  return true;
}

function effectOf(fault: Fault): FaultPlan {
  switch (fault.kind) {
    case "429":
      return { refusal: { status: 429, retryAfterSeconds: fault.retry_after_seconds } };
    case "503":
      return { refusal: { status: 503 } };
    case "500":
      return { refusal: { status: 500 } };
    case "stall":
      return { stall: { afterTokens: fault.after_tokens, milliseconds: fault.milliseconds } };
    case "cut":
      return { cutAfterTokens: fault.after_tokens };
    case "garbage":
      return { garbage: { afterTokens: fault.after_tokens, form: fault.form } };
    case "slow":
      return { slowFactor: fault.factor };
    case "ignore-abort":
      return { ignoresAbort: true };
    case "hang-connect":
      return { hangs: true };
  }
}

/** A number from 0 to 1 that depends on its arguments alone (splitmix32, public domain). */
function chance(seed: number, index: number): number {
  let bits = (seed + Math.imul(index, 0x9e3779b9)) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
}
