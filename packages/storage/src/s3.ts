import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

import { PlatformError } from "@headrace/contract";

import { assertRange, listLimit, signedSeconds } from "./limits.ts";
import { assertKey, assertPrefix, isKey } from "./object-key.ts";
import type {
  FoundObject,
  ListOptions,
  ObjectStore,
  PutOptions,
  ReadOptions,
  StoredObject,
} from "./objects.ts";
import { downloadPart } from "./s3-download.ts";
import { guardS3, isMissing, MISCONFIGURED, missingBucket } from "./s3-error.ts";
import type { S3Place } from "./s3-place.ts";
import { type S3Target, S3Upload } from "./s3-upload.ts";

/** How long one try may take that moves no bytes to speak of, and how long to connect. */
const REQUEST_MS = 15_000;
const CONNECT_MS = 5_000;
/** What a process that starts gives S3 to be looked at; it does not wait for one that is silent. */
const OPEN_MS = 10_000;
/** One try and three more, with pauses that grow: the client's own. */
const MOST_TRIES = 4;
/** Each open download has one: more than an ingress serves at once. */
const MOST_CONNECTIONS = 256;
/** An upload that began earlier was left by a process that died. */
const LEFT_MS = 24 * 3_600_000;
/** Under no key of ours. */
const PROBE = ".check";

/** Objects in S3, or in what speaks like it. */
export class S3Objects implements ObjectStore {
  readonly #client: S3Client;
  readonly #place: S3Place;

  private constructor(place: S3Place) {
    const agent = { maxSockets: MOST_CONNECTIONS };
    this.#place = place;
    this.#client = new S3Client({
      ...(place.endpoint === null ? {} : { endpoint: place.endpoint }),
      ...(place.region === null ? {} : { region: place.region }),
      forcePathStyle: place.hasPathStyle,
      maxAttempts: MOST_TRIES,
      // Whoever reads slowly is no silent server: what a body may take is bounded where it is read.
      requestHandler: {
        connectionTimeout: CONNECT_MS,
        requestTimeout: REQUEST_MS,
        throwOnRequestTimeout: true,
        socketTimeout: 0,
        httpAgent: agent,
        httpsAgent: agent,
      },
    });
  }

  /**
   * Use a bucket. That S3 cannot be reached now is no reason not to.
   *
   * @throws PlatformError `storage_unavailable`, with what to do, for what waiting does not mend: no such
   * bucket, no access, no credentials
   */
  static async open(place: S3Place): Promise<S3Objects> {
    const objects = new S3Objects(place);
    const signal = AbortSignal.timeout(OPEN_MS);
    try {
      await objects.#assertThere(signal);
      await objects.#sweep(signal);
    } catch (error) {
      if (error instanceof PlatformError && error.reason === MISCONFIGURED) throw error;
    }
    return objects;
  }

  async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions = {},
  ): Promise<StoredObject> {
    assertKey(key);
    return { key, ...(await new S3Upload(this.#target(key), options).store(body)) };
  }

  async read(
    key: string,
    { range, signal }: ReadOptions = {},
  ): Promise<{ readonly sizeBytes: number; readonly body: AsyncIterable<Uint8Array> }> {
    assertRange(range);
    signal?.throwIfAborted();
    const found = await this.#find(key, signal);
    if (found === null) throw new PlatformError("object_not_found", "there is no such object");
    const { sizeBytes, etag } = found;
    const { start = 0, end = sizeBytes } = range ?? {};
    const part = { start, end: Math.min(end, sizeBytes - 1), etag, sizeBytes, signal };
    return { sizeBytes, body: downloadPart({ ...this.#target(key), ...part }) };
  }

  async find(key: string): Promise<FoundObject | null> {
    const found = await this.#find(key);
    return found === null ? null : { key, sizeBytes: found.sizeBytes };
  }

  async list(
    prefix: string,
    { after, limit }: ListOptions = {},
  ): Promise<{ readonly objects: readonly FoundObject[]; readonly hasMore: boolean }> {
    assertPrefix(prefix);
    if (after !== undefined) assertKey(after);
    const most = listLimit(limit);
    const objects: FoundObject[] = [];
    for (let page: Page = { objects, last: after, hasMore: true }; page.hasMore;) {
      page = await this.#listPage(prefix, { after: page.last, limit: most - objects.length });
      objects.push(...page.objects);
      if (objects.length === most) return { objects, hasMore: page.hasMore };
    }
    return { objects, hasMore: false };
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    const { Bucket, Key } = this.#target(key);
    await guardS3(this.#client.send(new DeleteObjectCommand({ Bucket, Key })));
  }

  async sign(key: string, { lifetimeSeconds }: { readonly lifetimeSeconds: number }): Promise<URL> {
    assertKey(key);
    const expiresIn = signedSeconds(lifetimeSeconds);
    const { Bucket, Key } = this.#target(key);
    const get = new GetObjectCommand({ Bucket, Key });
    return new URL(await guardS3(getSignedUrl(this.#client, get, { expiresIn })));
  }

  async check(): Promise<void> {
    const probe = { Bucket: this.#place.bucket, Key: `${this.#place.prefix}${PROBE}` };
    await guardS3(this.#client.send(new PutObjectCommand({ ...probe, Body: "1" })));
    await guardS3(this.#client.send(new DeleteObjectCommand(probe)));
  }

  #target(key: string): S3Target {
    const { bucket, prefix } = this.#place;
    return { client: this.#client, Bucket: bucket, Key: `${prefix}${key}` };
  }

  async #find(
    key: string,
    signal?: AbortSignal,
  ): Promise<{ readonly sizeBytes: number; readonly etag: string } | null> {
    assertKey(key);
    const { Bucket, Key } = this.#target(key);
    const head = this.#client.send(
      new HeadObjectCommand({ Bucket, Key }),
      signal === undefined ? {} : { abortSignal: signal },
    );
    const found = await guardS3(head.catch(nullWhereMissing), signal);
    // Its answer to an object that is not there is that to a bucket that is not.
    if (found === null) await this.#assertThere(signal);
    if (found?.ContentLength === undefined || found.ETag === undefined) return null;
    return { sizeBytes: found.ContentLength, etag: found.ETag };
  }

  async #listPage(
    prefix: string,
    { after, limit }: { readonly after: string | undefined; readonly limit: number },
  ): Promise<Page> {
    const { bucket, prefix: root } = this.#place;
    const { Contents = [], IsTruncated = false } = await guardS3(
      this.#client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: `${root}${prefix}`,
          MaxKeys: limit,
          ...(after === undefined ? {} : { StartAfter: `${root}${after}` }),
        }),
      ),
    );
    const found = Contents.map(({ Key = "", Size = 0 }) => ({
      key: Key.slice(root.length),
      sizeBytes: Size,
    }));
    // Others may have put there what is none of ours.
    const objects = found.filter(({ key }) => isKey(key));
    return { objects, last: found.at(-1)?.key, hasMore: IsTruncated && found.length > 0 };
  }

  async #assertThere(signal?: AbortSignal): Promise<void> {
    const head = this.#client.send(
      new HeadBucketCommand({ Bucket: this.#place.bucket }),
      signal === undefined ? {} : { abortSignal: signal },
    );
    const found = await guardS3(head.catch(nullWhereMissing), signal);
    if (found === null) throw missingBucket();
  }

  /** Remove what uploads of processes that died have left: S3 keeps it, and asks its price. */
  async #sweep(abortSignal: AbortSignal): Promise<void> {
    const { bucket: Bucket, prefix } = this.#place;
    const { Uploads = [] } = await this.#client.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: prefix }),
      { abortSignal },
    );
    for (const { Key, UploadId, Initiated } of Uploads) {
      if (Initiated === undefined || Date.now() - Initiated.getTime() <= LEFT_MS) continue;
      const abort = new AbortMultipartUploadCommand({ Bucket, Key, UploadId });
      await this.#client.send(abort, { abortSignal });
    }
  }
}

/** What one request lists. */
interface Page {
  readonly objects: readonly FoundObject[];
  /** The last key of it, be it one of ours or not. */
  readonly last: string | undefined;
  readonly hasMore: boolean;
}

function nullWhereMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}
