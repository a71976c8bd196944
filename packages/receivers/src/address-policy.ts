import type { LookupAddress } from "node:dns";
import { BlockList, isIP } from "node:net";

import type { AllowList } from "./allow-list.ts";

/** Where a webhook may not go, and why; told to its owner as `address_not_allowed`. */
export class AddressNotAllowed extends Error {
  override readonly name = "AddressNotAllowed";
}

/** Ports that receivers on the Internet use; others would make us a scanner of other people's. */
const PUBLIC_PORTS: ReadonlySet<string> = new Set(["", "443", "8443"]);

/**
 * IPv4 that is not the Internet's, or must not be reached from inside a cloud.
 *
 * @see https://www.iana.org/assignments/iana-ipv4-special-registry
 */
const CLOSED_IPV4 = [
  ["0.0.0.0", 8], // this network
  ["10.0.0.0", 8], // private
  ["100.64.0.0", 10], // carriers' NAT, with Alibaba's metadata
  ["127.0.0.0", 8], // loopback
  ["168.63.129.16", 32], // Azure's host: public by number only
  ["169.254.0.0", 16], // link-local, with most clouds' metadata
  ["172.16.0.0", 12], // private
  ["192.0.0.0", 24], // protocol assignments, with Oracle's metadata
  ["192.0.2.0", 24], // documentation
  ["192.88.99.0", 24], // 6to4 relays
  ["192.168.0.0", 16], // private
  ["198.18.0.0", 15], // benchmarks
  ["198.51.100.0", 24], // documentation
  ["203.0.113.0", 24], // documentation
  ["224.0.0.0", 4], // multicast
  ["240.0.0.0", 4], // reserved, broadcast
] as const;

/**
 * Of IPv6 only global unicast is open, which leaves out loopback, link-local, unique local, multicast,
 * IPv4-mapped and NAT64 at once; and of it, not what leads elsewhere.
 *
 * @see https://www.iana.org/assignments/iana-ipv6-special-registry
 */
const OPEN_IPV6 = ["2000::", 3] as const;
const CLOSED_IPV6 = [
  ["2001::", 23], // protocol assignments: Teredo, ORCHID, benchmarks
  ["2001:db8::", 32], // documentation
  ["2002::", 16], // 6to4: an IPv4 address in disguise
  ["3fff::", 20], // documentation
] as const;

/** Judges where webhooks may be sent. Addresses are judged, never their spelling. */
export class AddressPolicy {
  readonly #allowList: AllowList;
  readonly #closed = new BlockList();
  readonly #open = new BlockList();

  constructor(allowList: AllowList) {
    this.#allowList = allowList;
    for (const [network, bits] of CLOSED_IPV4) this.#closed.addSubnet(network, bits, "ipv4");
    for (const [network, bits] of CLOSED_IPV6) this.#closed.addSubnet(network, bits, "ipv6");
    this.#open.addSubnet(...OPEN_IPV6, "ipv6");
  }

  /** Whether names are the operator's own, to be looked up as the machine does. */
  isVouchedFor(hostname: string): boolean {
    return this.#allowList.hasHost(hostname);
  }

  /**
   * Judge a URL that names an address, or cannot be right whatever its name means: what is refused here
   * would be at every connection. One with a name is judged again by `vet`, when it is connected to.
   *
   * @throws AddressNotAllowed
   */
  assertUrl(url: URL): void {
    if (url.protocol !== "https:" && url.protocol !== "http:") {
      throw new AddressNotAllowed("only https is spoken");
    }
    if (url.username !== "" || url.password !== "") {
      throw new AddressNotAllowed("a URL with user or password is not sent to");
    }
    const hostname = hostnameOf(url);
    const family = isIP(hostname);
    if (family !== 0) this.vet(url, [{ address: hostname, family }]);
    // A name may lead to a network that is listed: where there is none, it cannot.
    else if (!isPublicSpeech(url) && !this.#allowList.hasNetworks) this.vet(url, []);
  }

  /**
   * Choose the addresses that may be connected to.
   *
   * @returns at least one
   * @throws AddressNotAllowed when there is none
   */
  vet(url: URL, addresses: readonly LookupAddress[]): LookupAddress[] {
    if (this.#allowList.hasHost(hostnameOf(url))) return [...addresses];
    const isPublic = isPublicSpeech(url);
    const vetted = addresses.filter(
      ({ address }) => this.#allowList.hasAddress(address) || (isPublic && this.#isPublic(address)),
    );
    if (vetted.length > 0) return vetted;
    throw new AddressNotAllowed(
      isPublic
        ? "it leads to no address on the Internet"
        : "only https on port 443 or 8443 is spoken to receivers that the operator has not listed",
    );
  }

  #isPublic(address: string): boolean {
    switch (isIP(address)) {
      case 4:
        return !this.#closed.check(address, "ipv4");
      case 6:
        return this.#open.check(address, "ipv6") && !this.#closed.check(address, "ipv6");
      default:
        return false;
    }
  }
}

/** Whether it is how receivers on the Internet are spoken to. */
function isPublicSpeech({ protocol, port }: URL): boolean {
  return protocol === "https:" && PUBLIC_PORTS.has(port);
}

/** A URL's host as it is connected to: IPv6 without its brackets. */
export function hostnameOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}
