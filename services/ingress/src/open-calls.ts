import type { Caller } from "./caller.ts";
import { onceClosed, type Exchange } from "./exchange.ts";

/**
 * How long calls under way get once their key has ended, ms: what is only being answered is answered,
 * and what is held open ends within a second of the revocation, which was noticed after half.
 */
const LAST_WORDS_MS = 250;

/**
 * The calls being answered, by the key they came with, so that the end of a key, or of a secret of it,
 * ends its streams too, whoever serves them. There are no more of them than connections.
 */
export class OpenCalls {
  /** With the secret that each came with. */
  readonly #byKey = new Map<string, Map<Exchange, string>>();
  readonly #timers = new Set<NodeJS.Timeout>();

  /** Count a call in, until its connection is done with it. */
  enter({ keyId, secret }: Pick<Caller, "keyId" | "secret">, exchange: Exchange): void {
    // The environment's key ends with the process.
    if (secret === null) return;
    const calls = this.#byKey.get(keyId) ?? new Map<Exchange, string>();
    this.#byKey.set(keyId, calls.set(exchange, secret));
    onceClosed(exchange, () => {
      calls.delete(exchange);
      if (calls.size === 0) this.#byKey.delete(keyId);
    });
  }

  /**
   * Break off the calls of a key that has ended, or of one secret of it. A synchronous one counts as hung
   * up.
   *
   * @param ended null = all
   */
  cut(keyId: string, ended: string | null): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      for (const [{ response }, secret] of this.#byKey.get(keyId) ?? []) {
        if (ended === null || secret === ended) response.destroy();
      }
    }, LAST_WORDS_MS);
    this.#timers.add(timer);
  }

  /** Break nothing off any more. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
