import {
  isTerminalEntry,
  type Follower,
  type IngressBroker,
  type JobRecord,
  type LogEntry,
  type Reader,
} from "@headrace/broker";
import { START } from "@headrace/contract";

import { onceClosed, type Exchange } from "./exchange.ts";
import type { Reading, Readers } from "./readers.ts";

/**
 * Wait until a job has ended, for at most so long.
 *
 * Resolves early when the caller leaves or the process stops: the job then stands as it stands.
 * Output is let pass: what the job came to is read from its log afterwards.
 */
export async function watchForEnd(
  { broker, readers }: { readonly broker: IngressBroker; readonly readers: Readers },
  exchange: Exchange,
  { record, waitMs }: { readonly record: JobRecord; readonly waitMs: number },
): Promise<void> {
  if (readers.isLeft) return;
  const watch = new EndWatch(waitMs);
  readers.enter(watch, exchange.tenant);
  let follower: Follower | null = null;
  onceClosed(exchange, watch.leave);
  try {
    follower = await broker.follow(record.id, START, watch);
    await watch.over;
  } finally {
    exchange.response.off("close", watch.leave);
    follower?.close();
    watch.leave();
    readers.exit(watch);
  }
}

class EndWatch implements Reader, Reading {
  readonly #over = Promise.withResolvers<void>();
  readonly #timer: NodeJS.Timeout;

  constructor(waitMs: number) {
    this.#timer = setTimeout(this.leave, waitMs);
  }

  get over(): Promise<void> {
    return this.#over.promise;
  }

  readonly onEntry = ({ type }: LogEntry): boolean => {
    if (isTerminalEntry(type)) this.leave();
    return true;
  };

  readonly onVoid = (): void => {};

  readonly onGone = (): void => this.leave();

  readonly tick = (): void => {};

  readonly leave = (): void => {
    clearTimeout(this.#timer);
    this.#over.resolve();
  };

  readonly abort = (): void => this.leave();
}
