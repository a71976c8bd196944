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

/** Entries that each of the three lists keeps: about 5 MB. The log lines are for whoever keeps more. */
export const MOST_ENTRIES = 10_000;
/** How often one key's reads, or denials, of one action have an entry: one in so long, of each ingress. */
const SELDOM_MS = 3_600_000;
/** Such remembered: a few MB. Past this all are forgotten, and may have an entry once more. */
const MOST_REMEMBERED = 10_000;

/** The lists in the order in which entries of one id are told, with what their ids end in. */
const LISTS = [
  { stream: keys.audit, mark: "" },
  { stream: keys.auditRefused, mark: "r" },
  { stream: keys.auditRead, mark: "v" },
] as const;
type Mark = (typeof LISTS)[number]["mark"];

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

/** Calls that are much like another, of which few have an entry. */
interface Remembered {
  /** When the last one had, on the process' monotonic clock. */
  readonly keptAtMs: number;
  /** Those since that had none. */
  leftOut: number;
}

/**
 * What operators did, tried, were denied and looked at; only ever added to. What was done is written by
 * the script that does it; what was not, and what only read, is written here, to lists of their own: they
 * push out nothing that was done.
 */
export class AuditLog {
  readonly #redis: Redis;
  readonly #listener: AuditListener;
  readonly #remembered = new Map<string, Remembered>();

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
    const end = { outcome, error_code: code };
    if (outcome !== "denied") {
      await this.#append(keys.auditRefused, record(note, subject, end));
      return;
    }
    await this.#appendSeldom(keys.auditRefused, record(note, subject, end));
  }

  /**
   * Keep that a call looked at something, or was refused to. Of one key that looks again and again the
   * listener is told, and it is kept, once an hour and ingress.
   *
   * @param code what the caller was told instead; null when it was shown what it asked for
   * @throws PlatformError `queue_unavailable`
   */
  async keepRead(note: AuditNote, subject: AuditSubject, code: ErrorCode | null): Promise<void> {
    const outcome = code === null ? "done" : outcomeOf(code);
    await this.#appendSeldom(keys.auditRead, record(note, subject, { outcome, error_code: code }));
  }

  /** Read a page, newest first. */
  async list({ limit, after }: AuditQuery): Promise<AuditList> {
    const lists = await guard(
      Promise.all(
        LISTS.map(({ stream, mark }) => this.#read(stream, placeBefore(after, mark), limit + 1)),
      ),
    );
    const found = lists
      .flatMap((entries, at) => entries.map((entry) => toEntry(entry, LISTS[at]?.mark ?? "")))
      .toSorted(compare);
    const data = found.slice(0, limit);
    return {
      object: "list",
      data,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
      has_more: found.length > limit,
    };
  }

  /** Any key may read, or be denied, at any rate, and must not push out what others did. */
  async #appendSeldom(stream: string, written: AuditRecord): Promise<void> {
    const nowMs = performance.now();
    const call = [written.actor, written.action, written.outcome].join(" ");
    const last = this.#remembered.get(call);
    if (last !== undefined && nowMs < last.keptAtMs + SELDOM_MS) {
      last.leftOut += 1;
      return;
    }
    if (this.#remembered.size >= MOST_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(call, { keptAtMs: nowMs, leftOut: 0 });
    const { leftOut } = last ?? { leftOut: 0 };
    const details = leftOut === 0 ? written.details : { ...written.details, left_out: leftOut };
    await this.#append(stream, { ...written, details });
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

/**
 * Where a list goes on. Of entries with one id, those of later lists count as older: pages must neither
 * repeat nor leave out any.
 */
function placeBefore(after: string | null, mark: Mark): string {
  if (after === null) return "+";
  const place = after.replace(/[rv]$/, "");
  return rankOf(mark) <= rankOf(after.slice(place.length)) ? `(${place}` : place;
}

function rankOf(mark: string): number {
  return LISTS.findIndex((list) => list.mark === mark);
}

function compare(a: AuditEntry, b: AuditEntry): number {
  const [aMs = 0, aNumber = 0, aRank = 0] = placeOf(a);
  const [bMs = 0, bNumber = 0, bRank = 0] = placeOf(b);
  return bMs - aMs || bNumber - aNumber || aRank - bRank;
}

function placeOf({ id }: AuditEntry): number[] {
  const place = id.replace(/[rv]$/, "");
  return [...place.split("-").map(Number), rankOf(id.slice(place.length))];
}

function toEntry([id, [, text = ""]]: [string, string[]], mark: Mark): AuditEntry {
  return {
    id: `${id}${mark}`,
    object: "audit_entry",
    at: Number(id.split("-")[0]) / 1_000,
    ...storedSchema.parse(JSON.parse(text)),
  };
}
