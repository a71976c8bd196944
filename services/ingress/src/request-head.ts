import type { IncomingMessage } from "node:http";

import { PlatformError } from "@headrace/contract";

import { MOST_HEADERS } from "./http-server.ts";

/** The longest of ours, with a model's name of 256 escaped characters, is under a thousand. */
const LONGEST_URL = 4_096;

/**
 * Refuse a request by its head alone, whatever route it is for.
 *
 * @throws PlatformError `url_too_long`, `head_too_large`, or `request_invalid` for one of HTTP/1.1
 *   without a host, which RFC 9112 (3.2) has a server refuse
 */
export function assertHeadBounded({
  url = "",
  rawHeaders,
  headers,
  httpVersion,
}: IncomingMessage): void {
  if (url.length > LONGEST_URL) {
    throw new PlatformError(
      "url_too_long",
      `the address has ${url.length} characters; ${LONGEST_URL} are taken`,
    );
  }
  // Names and values in turn.
  if (rawHeaders.length > MOST_HEADERS * 2) {
    throw new PlatformError("head_too_large", `over ${MOST_HEADERS} headers; as many are taken`);
  }
  if (headers.host === undefined && httpVersion === "1.1") {
    throw new PlatformError("request_invalid", "the header host is missing", { param: "host" });
  }
}
