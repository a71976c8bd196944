import type { LookupAddress } from "node:dns";
import { lookup, Resolver } from "node:dns/promises";

/** Finds the addresses of a name. Rejects when there is none. */
export type Resolve = (hostname: string) => Promise<LookupAddress[]>;

/** One question to one name server, ms; it is asked twice. */
const ANSWER_MS = 2_000;
const TRIES = 2;

/**
 * Look names up in the DNS, each question apart from all others. The system's own way has four threads
 * for the whole process: four names whose servers are silent would hold up everybody's.
 */
export function createResolver(): Resolve {
  const resolver = new Resolver({ timeout: ANSWER_MS, tries: TRIES });
  return async (hostname) => {
    const found = await Promise.allSettled([
      resolver.resolve4(hostname),
      resolver.resolve6(hostname),
    ]);
    const [four, six] = found.map((answer) => (answer.status === "fulfilled" ? answer.value : []));
    const addresses = [
      ...(four ?? []).map((address) => ({ address, family: 4 })),
      ...(six ?? []).map((address) => ({ address, family: 6 })),
    ];
    if (addresses.length > 0) return addresses;
    const [failure] = found;
    throw failure.status === "rejected" ? failure.reason : new Error(`${hostname} has no address`);
  };
}

/** Look a name up as the machine does: hosts file, search domains and all. For names of the operator's. */
export async function lookUpLocally(hostname: string): Promise<LookupAddress[]> {
  return lookup(hostname, { all: true });
}
