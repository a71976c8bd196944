import { hash, timingSafeEqual } from "node:crypto";

import { DEFAULT_WEIGHT, PlatformError, SCOPES } from "@headrace/contract";

import type { Caller } from "./caller.ts";

/** Who calls with the environment's key: the operator, who may do everything. */
const ROOT: Caller = {
  tenant: "default",
  keyId: "root",
  scopes: new Set(SCOPES),
  limits: null,
  weight: DEFAULT_WEIGHT,
};

const SCHEME = /^bearer +(\S+)$/i;

/**
 * Checks callers' keys against the one that is valid.
 *
 * Digests are compared, in constant time: they are of one length whatever was presented, so neither
 * the key nor its length can be found out by timing. The key itself is not kept.
 */
export class Authentication {
  readonly #digest: Buffer;

  constructor(apiKey: string) {
    this.#digest = digestOf(apiKey);
  }

  /**
   * Tell whose request this is from its `authorization` header.
   *
   * @throws PlatformError `api_key_invalid`, the same for no key and a wrong one
   */
  async authenticate(authorization: string | undefined): Promise<Caller> {
    const presented = SCHEME.exec(authorization ?? "")?.[1] ?? "";
    if (timingSafeEqual(digestOf(presented), this.#digest)) return ROOT;
    throw new PlatformError(
      "api_key_invalid",
      "missing or wrong API key; send it as Authorization: Bearer <key>",
    );
  }
}

function digestOf(key: string): Buffer {
  return hash("sha256", key, "buffer");
}
