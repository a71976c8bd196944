import { timingSafeEqual } from "node:crypto";

import { digestApiKey, type ApiKeyCache } from "@headrace/broker";
import { DEFAULT_TENANT, findKeyId, PlatformError, ROOT_KEY_ID, SCOPES } from "@headrace/contract";

import type { Caller } from "./caller.ts";

const SCHEME = /^bearer +(\S+)$/i;
const ALL_SCOPES: Caller["scopes"] = new Set(SCOPES);

/**
 * Tells by its key who calls: the operator with the environment's, or whom the operator gave one.
 *
 * Digests are compared, in constant time: they are of one length whatever was presented, so neither
 * a key nor its length can be found out by timing. No digest of what was presented is kept for the
 * next time: it would have to be found by the key itself, and finding is not constant in time. It
 * takes 2 µs.
 */
export class Authentication {
  readonly #rootDigest: Buffer;
  readonly #knownKeys: ApiKeyCache;

  /** @param rootKey the environment's, which is valid even while Redis is away */
  constructor(rootKey: string, knownKeys: ApiKeyCache) {
    this.#rootDigest = digestApiKey(rootKey);
    this.#knownKeys = knownKeys;
  }

  /**
   * Tell whose request this is from its `authorization` header.
   *
   * @throws PlatformError `api_key_invalid`, the same for no key and one that is unknown, wrong,
   *   expired or revoked; `queue_unavailable` when Redis does not say
   */
  async authenticate(authorization: string | undefined): Promise<Caller> {
    const presented = SCHEME.exec(authorization ?? "")?.[1] ?? "";
    const digest = digestApiKey(presented);
    if (timingSafeEqual(digest, this.#rootDigest)) return this.#root();
    const id = findKeyId(presented);
    const grant = id === null ? null : await this.#knownKeys.verify(id, digest);
    if (grant === null) {
      throw new PlatformError(
        "api_key_invalid",
        "missing or wrong API key; send it as Authorization: Bearer <key>",
      );
    }
    const { id: keyId, ...granted } = grant;
    return { ...granted, keyId, weight: this.#knownKeys.weightOf(grant.tenant) };
  }

  #root(): Caller {
    return {
      tenant: DEFAULT_TENANT,
      keyId: ROOT_KEY_ID,
      secret: null,
      scopes: ALL_SCOPES,
      limits: null,
      weight: this.#knownKeys.weightOf(DEFAULT_TENANT),
    };
  }
}
