import { BlockList, isIP } from "node:net";

import { z } from "zod";

/** What an operator may write: an address, a network, or the name of a host. */
const NETWORK = /^([^/]+)\/(\d{1,3})$/;
const HOST =
  /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/**
 * Receivers that the operator vouches for, although they are in a private network, speak plain HTTP,
 * or listen on a port of their own: hosts by their exact names, and networks.
 */
export class AllowList {
  readonly #hosts = new Set<string>();
  readonly #networks = new BlockList();
  #hasNetworks = false;

  /**
   * @param entries `10.1.0.0/16`, `fd12::/16`, `127.0.0.1`, `receiver.internal`
   * @throws RangeError naming the entry that is none of these
   */
  constructor(entries: readonly string[]) {
    for (const entry of entries) this.#add(entry);
  }

  /** Whether a name was listed as it stands: what it leads to is the operator's business. */
  hasHost(hostname: string): boolean {
    return this.#hosts.has(hostname);
  }

  /** Whether there may be names that it does not hold, and that lead to what it does. */
  get hasNetworks(): boolean {
    return this.#hasNetworks;
  }

  hasAddress(address: string): boolean {
    return this.#networks.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
  }

  #add(entry: string): void {
    const [, network = entry, prefix] = NETWORK.exec(entry) ?? [];
    const family = isIP(network);
    if (family !== 0) {
      const type = family === 6 ? "ipv6" : "ipv4";
      const bits = prefix === undefined ? (family === 6 ? 128 : 32) : Number(prefix);
      if (bits > (family === 6 ? 128 : 32)) throw new RangeError(`${entry}: no such network`);
      this.#networks.addSubnet(network, bits, type);
      this.#hasNetworks = true;
    } else if (prefix === undefined && HOST.test(entry)) {
      this.#hosts.add(entry);
    } else {
      throw new RangeError(
        `${entry}: expected an address, a network such as 10.1.0.0/16, or a host`,
      );
    }
  }
}

/** An environment variable that holds a list, comma-separated; empty unless set. */
export const allowListVariable = z
  .string()
  .default("")
  .transform((text) => text.split(",").map((entry) => entry.trim().toLowerCase()))
  .transform((entries) => entries.filter((entry) => entry !== ""))
  .transform((entries, context) => {
    try {
      return new AllowList(entries);
    } catch (error) {
      context.addIssue(error instanceof Error ? error.message : String(error));
      return z.NEVER;
    }
  });
