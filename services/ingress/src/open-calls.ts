import { ROOT_KEY_ID } from "@headrace/contract";

import { onceClosed, type Exchange } from "./exchange.ts";

/**
 * The calls being answered, by the key they came with, so that revoking a key ends its streams too,
 * whoever serves them. There are no more of them than connections.
 */
export class OpenCalls {
  readonly #byKey = new Map<string, Set<Exchange>>();

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
    for (const { response } of this.#byKey.get(keyId) ?? []) response.destroy();
  }
}
