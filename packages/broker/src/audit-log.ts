import {
  AUDIT_OUTCOMES,
  type AuditEntry,
  type AuditList,
  type ErrorCode,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { guard } from "./guard.ts";
import { keys } from "./keys.ts";

/** Entries that each of the two lists keeps: about 5 MB. The log lines are for whoever keeps more. */
export const MOST_ENTRIES = 10_000;
/** Most entries of one key's denials of one action: one in so long, of each ingress. */
const DENIAL_MS = 3_600_000;
/** Denials remembered: a few MB. Past this all are forgotten, and may be kept once more. */
const MOST_DENIALS = 10_000;

/** Whose call it is that is to be kept, and what it is called. */
export interface AuditNote {
  /** Id of the key that the call came with. */
  readonly actor: string;
  readonly action: string;
  readonly requestId: string;
}

/** What a call was about. */
export interface AuditSubject {
  readonly target: string | null;
  readonly tenant: string | null;
  /** Must not hold a secret, nor what one could be told from. */
  readonly details: Readonly<Record<string, unknown>>;
}

const storedSchema = z.object({
  actor: z.string(),
  action: z.string(),
  target: z.string().nullable(),
  tenant: z.string().nullable(),
  request_id: z.string(),
  outcome: z.enum(AUDIT_OUTCOMES),
  error_code: z.string().nullable(),
  details: z.record(z.string(), z.unknown()),
});

/** An entry before Redis has given it its place and time. */
export type AuditRecord = z.infer<typeof storedSchema>;

/** Receives every entry once it is kept, to be logged. */
export type AuditListener = (record: AuditRecord) => void;

/** Say that a call did what it was to do. */
export function recordDone(note: AuditNote, subject: AuditSubject): AuditRecord {
  return record(note, subject, { outcome: "done", error_code: null });
}

function record(
  { actor, action, requestId }: AuditNote,
  { target, tenant, details }: AuditSubject,
  end: Pick<AuditRecord, "outcome" | "error_code">,
): AuditRecord {
  return { actor, action, target, tenant, request_id: requestId, ...end, details };
}

/** Which of the log's entries to read, newest first. */
export interface AuditQuery {
  readonly limit: number;
  /** The last entry of the page before. It need not be kept any more. */
  readonly after: string | null;
}

/**
 * What operators did, tried and were denied; only ever added to. What was done is written by the
 * script that does it; what was not is written here, to a list of its own.
 */
export class AuditLog {
  readonly #redis: Redis;
  readonly #listener: AuditListener;
  /** When each key was last kept as denied each action, on the process' monotonic clock. */
  readonly #denials = new Map<string, number>();

  constructor(redis: Redis, listener: AuditListener) {
    this.#redis = redis;
    this.#listener = listener;
  }

  /** Tell the listener of an entry that a script has written. */
  announce(written: AuditRecord): void {
    this.#listener(written);
  }

  /** Keep that a call asked for what was so already. */
  async keepUnchanged(note: AuditNote, subject: AuditSubject): Promise<void> {
    await this.#append(keys.audit, recordDone(note, subject));
  }

  /**
   * Keep that a call was not made, or not to its end. The listener is told whatever Redis says. Of one
   * key that is denied the same action again and again it is told, and kept, once an hour and ingress.
   *
   * @throws PlatformError `queue_unavailable`
   */
  async keepRefused(note: AuditNote, subject: AuditSubject, code: ErrorCode): Promise<void> {
    const outcome = outcomeOf(code);
    if (outcome === "denied" && !this.#isNews(note)) return;
    await this.#append(keys.auditRefused, record(note, subject, { outcome, error_code: code }));
  }

  /** Read a page, newest first. */
  async list({ limit, after }: AuditQuery): Promise<AuditList> {
    const [done, refused] = await guard(
      Promise.all([
        this.#read(keys.audit, beforeDone(after), limit + 1),
        this.#read(keys.auditRefused, beforeRefused(after), limit + 1),
      ]),
    );
    const found = [
      ...done.map((entry) => toEntry(entry, "")),
      ...refused.map((entry) => toEntry(entry, "r")),
    ].toSorted(compare);
    const data = found.slice(0, limit);
    return {
      object: "list",
      data,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
      has_more: found.length > limit,
    };
  }

  /** Any key may be denied at any rate, and must not push out what others were. */
  #isNews({ actor, action }: AuditNote): boolean {
    const nowMs = performance.now();
    const denial = `${actor} ${action}`;
    const keptAtMs = this.#denials.get(denial) ?? Number.NEGATIVE_INFINITY;
    if (nowMs < keptAtMs + DENIAL_MS) return false;
    if (this.#denials.size >= MOST_DENIALS) this.#denials.clear();
    this.#denials.set(denial, nowMs);
    return true;
  }

  async #append(stream: string, written: AuditRecord): Promise<void> {
    this.#listener(written);
    const entry = JSON.stringify(written);
    await guard(this.#redis.xadd(stream, "MAXLEN", "~", MOST_ENTRIES, "*", "entry", entry));
  }

  #read(stream: string, before: string, count: number): Promise<[string, string[]][]> {
    return this.#redis.xrevrange(stream, before, "-", "COUNT", count);
  }
}

/** A call whose change Redis may or may not have made is neither done nor refused. */
function outcomeOf(code: ErrorCode): AuditRecord["outcome"] {
  if (code === "scope_missing") return "denied";
  return code === "queue_unavailable" ? "unknown" : "refused";
}

/*
 * Of two entries with one id, the refused one counts as older: pages must neither repeat nor leave
 * out either.
 */
function beforeDone(after: string | null): string {
  return after === null ? "+" : `(${after.replace("r", "")}`;
}

function beforeRefused(after: string | null): string {
  if (after === null) return "+";
  return after.endsWith("r") ? `(${after.replace("r", "")}` : after;
}

function compare(a: AuditEntry, b: AuditEntry): number {
  const [aMs = 0, aNumber = 0] = placeOf(a);
  const [bMs = 0, bNumber = 0] = placeOf(b);
  return bMs - aMs || bNumber - aNumber || a.id.length - b.id.length;
}

function placeOf({ id }: AuditEntry): number[] {
  return id.replace("r", "").split("-").map(Number);
}

function toEntry([id, [, text = ""]]: [string, string[]], mark: "" | "r"): AuditEntry {
  return {
    id: `${id}${mark}`,
    object: "audit_entry",
    at: Number(id.split("-")[0]) / 1_000,
    ...storedSchema.parse(JSON.parse(text)),
  };
}
