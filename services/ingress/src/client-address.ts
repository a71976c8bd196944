import type { Request } from "express";

/** IPv4 as a socket that takes both kinds writes it. */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
/** Whoever has one IPv6 address has the 2^64 beside it. */
const NETWORK_GROUPS = 4;
const GROUPS = 8;

/**
 * Tell where a caller is, for limits by address: its IPv4 address, or its IPv6 network of 64 bits.
 *
 * What proxies say of it counts only where the operator trusts them (`INGRESS_TRUSTED_PROXIES`): a
 * header is anybody's to send.
 *
 * @returns "" when the connection is gone
 */
export function clientAddressOf({ request }: { readonly request: Pick<Request, "ip"> }): string {
  const address = request.ip ?? "";
  const mapped = MAPPED.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  return address.includes(":") ? toNetwork(address) : address;
}

function toNetwork(address: string): string {
  const [head = "", tail] = address.replace(/%.*$/, "").split("::", 2);
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: GROUPS - before.length - after.length }, () => "0");
  const groups = [...before, ...(tail === undefined ? [] : zeros), ...after];
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => Number.parseInt(group, 16));
  return `${network.map((group) => group.toString(16)).join(":")}::/64`;
}
