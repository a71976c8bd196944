import { ROOT_KEY_ID } from "@headrace/contract";

import { onceClosed, type Exchange } from "./exchange.ts";

/**
 * How long calls under way get once their key has ended, ms: what is only being answered is answered,
 * and what is held open ends within a second of the revocation, which was noticed after half.
 */
const LAST_WORDS_MS = 250;

/**
 * The calls being answered, by the key they came with, so that revoking a key ends its streams too,
 * whoever serves them. There are no more of them than connections.
 */
export class OpenCalls {
  readonly #byKey = new Map<string, Set<Exchange>>();
  readonly #timers = new Set<NodeJS.Timeout>();

  /** Count a call in, until its connection is done with it. */
  enter(keyId: string, exchange: Exchange): void {
    // The environment's key ends with the process.
    if (keyId === ROOT_KEY_ID) return;
    const calls = this.#byKey.get(keyId) ?? new Set();
    this.#byKey.set(keyId, calls.add(exchange));
    onceClosed(exchange, () => {
      calls.delete(exchange);
      if (calls.size === 0) this.#byKey.delete(keyId);
    });
  }

  /** Break off the calls of a key that has ended. A synchronous one counts as hung up. */
  cut(keyId: string): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      for (const { response } of this.#byKey.get(keyId) ?? []) response.destroy();
    }, LAST_WORDS_MS);
    this.#timers.add(timer);
  }

  /** Break nothing off any more. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
