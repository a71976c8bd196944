import { createHash, randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";

import { PlatformError } from "@headrace/contract";

import { chunksOf } from "./body.ts";
import type { PutOptions } from "./objects.ts";
import { PartBuffer } from "./part-buffer.ts";
import { MOST_PARTS, partBytes } from "./part-sizes.ts";
import { guardS3, isConflict, isRefusedAsPresent } from "./s3-error.ts";

/** A part of the largest size at 0.7 MB a second. */
const PART_MS = 60_000;
/** S3 says that it may take minutes to put a large object together. */
const COMPLETE_MS = 600_000;
/** How often, and after what, to ask again while S3 has not decided between two who store at once. */
const MOST_CONFLICTS = 3;
const CONFLICT_MS = 200;
/** Whoever is told that it failed waits for no more than this. */
const UNDO_MS = 5_000;
/** The name of the metadata that says which upload an object is from. */
const UPLOAD = "headrace-upload";

/** Where an object is stored. */
export interface S3Target {
  readonly client: S3Client;
  readonly Bucket: string;
  readonly Key: string;
}

/**
 * One object on its way to S3: in one request where it fits in one, else in parts, one of which is sent
 * while the next is gathered.
 */
export class S3Upload {
  readonly #client: S3Client;
  readonly #object: { readonly Bucket: string; readonly Key: string };
  readonly #condition: { readonly IfNoneMatch?: "*" };
  readonly #signal: AbortSignal | undefined;
  readonly #broken = new AbortController();
  readonly #id = randomUUID();
  readonly #parts: CompletedPart[] = [];
  #uploadId: string | undefined;
  #gathered = new PartBuffer(partBytes(1));
  #spare = new PartBuffer(partBytes(2));
  #sending: Promise<void> = Promise.resolve();

  constructor({ client, ...object }: S3Target, { ifAbsent = false, signal }: PutOptions) {
    this.#client = client;
    this.#object = object;
    this.#condition = ifAbsent ? { IfNoneMatch: "*" } : {};
    this.#signal = signal;
  }

  /** Store a body, whole or not at all. @throws PlatformError, and what the body fails with */
  async store(
    body: Uint8Array | AsyncIterable<Uint8Array>,
  ): Promise<{ readonly sizeBytes: number; readonly sha256: string }> {
    const hash = createHash("sha256");
    let sizeBytes = 0;
    try {
      for await (const chunk of chunksOf(body, { signal: this.#signal })) {
        hash.update(chunk);
        sizeBytes += chunk.length;
        await this.#gather(chunk);
      }
      this.#signal?.throwIfAborted();
      const sha256 = hash.digest();
      await (this.#uploadId === undefined ? this.#storeWhole(sha256) : this.#complete());
      return { sizeBytes, sha256: sha256.toString("hex") };
    } catch (error) {
      await this.#undo();
      throw error;
    }
  }

  async #gather(chunk: Uint8Array): Promise<void> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#gathered.isFull) await this.#sendPart();
      rest = this.#gathered.add(rest);
    }
  }

  /** Begin to send what was gathered, once what was gathered before is sent. */
  async #sendPart(): Promise<void> {
    await this.#sending;
    this.#uploadId ??= await this.#begin();
    this.#signal?.throwIfAborted();
    const part = this.#gathered;
    const number = this.#parts.length + 1;
    if (number > MOST_PARTS) {
      throw new PlatformError("request_too_large", "an object has at most 183 GiB");
    }
    this.#sending = this.#send(part.bytes, number);
    // Whoever waits for it next is told; that may be after it has failed.
    this.#sending.catch(() => {});
    this.#gathered = this.#spare;
    this.#gathered.empty(partBytes(number + 1));
    this.#spare = part;
  }

  /** Not cut off by a signal: an upload whose name nobody learned could not be undone. */
  async #begin(): Promise<string> {
    const { UploadId } = await guardS3(
      this.#client.send(
        new CreateMultipartUploadCommand({
          ...this.#object,
          ChecksumAlgorithm: "SHA256",
          Metadata: { [UPLOAD]: this.#id },
        }),
      ),
    );
    if (UploadId !== undefined) return UploadId;
    throw new PlatformError("storage_unavailable", "storage began an upload without a name");
  }

  async #send(bytes: Buffer, number: number): Promise<void> {
    const ChecksumSHA256 = createHash("sha256").update(bytes).digest("base64");
    const { ETag } = await this.#answer(
      this.#client.send(
        new UploadPartCommand({
          ...this.#object,
          UploadId: this.#uploadId,
          PartNumber: number,
          Body: bytes,
          ChecksumSHA256,
        }),
        { abortSignal: this.#cut, requestTimeout: PART_MS },
      ),
    );
    this.#parts.push({ PartNumber: number, ETag, ChecksumSHA256 });
  }

  async #complete(): Promise<void> {
    await this.#sendPart();
    await this.#sending;
    const complete = new CompleteMultipartUploadCommand({
      ...this.#object,
      ...this.#condition,
      UploadId: this.#uploadId,
      MultipartUpload: { Parts: this.#parts },
    });
    const options = { abortSignal: this.#cut, requestTimeout: COMPLETE_MS };
    await this.#settle(() => this.#client.send(complete, options));
  }

  async #storeWhole(sha256: Buffer): Promise<void> {
    const put = new PutObjectCommand({
      ...this.#object,
      ...this.#condition,
      Body: this.#gathered.bytes,
      ChecksumSHA256: sha256.toString("base64"),
      Metadata: { [UPLOAD]: this.#id },
    });
    const options = { abortSignal: this.#cut, requestTimeout: PART_MS };
    await this.#settle(() => this.#client.send(put, options));
  }

  /** Take it as done also when only the answer was lost, and the client's next try found it done. */
  async #settle(send: () => Promise<unknown>): Promise<void> {
    for (let left = MOST_CONFLICTS; ; left -= 1) {
      try {
        await send();
        return;
      } catch (error) {
        this.#signal?.throwIfAborted();
        const found = await this.#findUpload().catch(() => null);
        if (found === this.#id) return;
        if (isRefusedAsPresent(error) && found !== null) {
          const message = "there is such an object already";
          throw new PlatformError("object_exists", message, { cause: error });
        }
        if (!isConflict(error) || left === 0) await this.#answer(Promise.reject(error));
        await delay(CONFLICT_MS, undefined, { signal: this.#cut });
      }
    }
  }

  /** Which upload the object is from; empty for one that others stored. */
  async #findUpload(): Promise<string> {
    const { Metadata } = await this.#client.send(new HeadObjectCommand(this.#object));
    return Metadata?.[UPLOAD] ?? "";
  }

  /** Leave no part behind. What cannot be removed now is swept later, and hides no reason. */
  async #undo(): Promise<void> {
    this.#broken.abort();
    await this.#sending.catch(() => {});
    if (this.#uploadId === undefined) return;
    await this.#client
      .send(new AbortMultipartUploadCommand({ ...this.#object, UploadId: this.#uploadId }), {
        abortSignal: AbortSignal.timeout(UNDO_MS),
      })
      .catch(() => {});
  }

  async #answer<Answer>(answer: Promise<Answer>): Promise<Answer> {
    return guardS3(answer, this.#signal);
  }

  get #cut(): AbortSignal {
    return this.#signal === undefined
      ? this.#broken.signal
      : AbortSignal.any([this.#signal, this.#broken.signal]);
  }
}
