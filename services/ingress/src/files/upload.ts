import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";

import { Busboy, type BusboyInstance } from "@fastify/busboy";
import { PlatformError } from "@headrace/contract";

import { dropRest } from "../request-body.ts";

/** Fields beside the file: OpenAI's three, twice over. */
const MOST_FIELDS = 8;
const LONGEST_FIELD_BYTES = 1_024;
const LONGEST_NAME_BYTES = 256;
const LARGEST_PART_HEAD_BYTES = 8_192;
/** What a form may have beside its file. */
const FORM_BYTES = 65_536;
/** A sender that goes on for this much beyond a file's limit is not going to read the answer. */
const PATIENCE_BYTES = 64 * 1_024 * 1_024;
const MULTIPART = /^multipart\/form-data *;/i;

/** A form that came whole, with its file stored. */
export interface Upload {
  readonly fields: Readonly<Record<string, string>>;
  /** As its sender calls it, without any path. */
  readonly filename: string;
  readonly sizeBytes: number;
}

/** What is done with the file as it comes. */
export interface Receiver {
  readonly limitBytes: number;
  /** Told of each part that came. */
  readonly onProgress: () => void;
  /** Takes the file's bytes; whatever stops them rejects in it, too. */
  readonly store: (
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ) => Promise<{ readonly sizeBytes: number }>;
}

/**
 * Read a form with one `file`, whose bytes are handed on as they come, no faster than they are taken.
 * What comes of a form that is refused is dropped, so that its sender can read why.
 *
 * @throws PlatformError `media_type_unsupported` for what is no form, `request_too_large` as soon as
 *   the file is over the limit, `request_invalid` for a form that is malformed, breaks off, has no
 *   file or several; and whatever storing it fails with
 */
export async function receiveUpload(request: IncomingMessage, receiver: Receiver): Promise<Upload> {
  const { limitBytes } = receiver;
  const parser = openParser(request);
  if (Number(request.headers["content-length"] ?? 0) > limitBytes + FORM_BYTES) {
    dropRest(request, limitBytes + PATIENCE_BYTES);
    throw tooLarge(limitBytes);
  }
  const form = new Form(receiver);
  form.watch(parser);
  request.once("close", () => {
    if (!request.complete) form.fail(invalid("the upload broke off"));
  });
  request.pipe(parser);
  // Of the whole form, not of its file: the parser keeps back what may be the file's end.
  request.on("data", receiver.onProgress);
  try {
    return await form.whole;
  } catch (error) {
    request.unpipe(parser);
    dropRest(request, limitBytes + PATIENCE_BYTES);
    throw error;
  }
}

function openParser(request: IncomingMessage): BusboyInstance {
  const { "content-type": type = "", "content-encoding": encoding = "identity" } = request.headers;
  if (encoding !== "identity") {
    throw new PlatformError(
      "media_type_unsupported",
      "compressed bodies are not accepted; send the form as it is",
    );
  }
  if (!MULTIPART.test(type)) {
    throw new PlatformError(
      "media_type_unsupported",
      "expected the header content-type: multipart/form-data with a boundary",
    );
  }
  try {
    return new Busboy({
      headers: { ...request.headers, "content-type": type },
      limits: {
        fields: MOST_FIELDS,
        fieldSize: LONGEST_FIELD_BYTES,
        fieldNameSize: LONGEST_NAME_BYTES,
        files: 1,
        parts: MOST_FIELDS + 1,
        headerPairs: MOST_FIELDS,
        headerSize: LARGEST_PART_HEAD_BYTES,
      },
    });
  } catch (cause) {
    throw new PlatformError("request_invalid", "the form's boundary is missing", { cause });
  }
}

/** One form on its way in: the first thing that goes wrong stops all of it. */
class Form {
  readonly #receiver: Receiver;
  readonly #stopped = new AbortController();
  readonly #failed = Promise.withResolvers<never>();
  readonly #parsed = Promise.withResolvers<void>();
  readonly #fields: Record<string, string> = {};
  #stream: Readable | null = null;
  #filename = "";
  #stored: Promise<{ readonly sizeBytes: number }> | null = null;

  constructor(receiver: Receiver) {
    this.#receiver = receiver;
    // A failure after the last await has nobody to tell.
    this.#failed.promise.catch(() => {});
  }

  /** The form, once all of it has come and its file is stored. */
  get whole(): Promise<Upload> {
    return Promise.race([this.#complete(), this.#failed.promise]);
  }

  watch(parser: BusboyInstance): void {
    parser.on("field", (name, value, _isNameCut, isCut) => {
      if (isCut) this.fail(invalid(`${name}: expected at most ${LONGEST_FIELD_BYTES} bytes`, name));
      else if (name === "file") this.fail(invalid("file: expected a file with a filename", "file"));
      else this.#fields[name] = value;
    });
    parser.on("file", (name, stream, filename) => this.#take(name, stream, filename));
    parser.on("filesLimit", () => this.fail(invalid("expected one file")));
    parser.on("fieldsLimit", () => this.fail(invalid(`expected at most ${MOST_FIELDS} fields`)));
    parser.on("partsLimit", () => this.fail(invalid(`expected at most ${MOST_FIELDS + 1} parts`)));
    parser.on("error", (cause) =>
      this.fail(
        new PlatformError("request_invalid", "the form is malformed, or breaks off", { cause }),
      ),
    );
    parser.on("finish", () => this.#parsed.resolve());
  }

  fail(error: unknown): void {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort(error);
    this.#failed.reject(error);
    // Its reader, who is storing it, must not wait for more.
    this.#stream?.destroy(error instanceof Error ? error : undefined);
  }

  #take(name: string, stream: Readable, filename: string): void {
    this.#stream = stream;
    this.#filename = filename;
    // A form that breaks off says so here as well as at the parser.
    stream.on("error", (cause) =>
      this.fail(
        new PlatformError("request_invalid", "the form is malformed, or breaks off", { cause }),
      ),
    );
    if (name !== "file") {
      this.fail(invalid(`${name}: no such file is expected; send it as file`, name));
      return;
    }
    this.#stored = this.#receiver.store(this.#bounded(stream), this.#stopped.signal);
    this.#stored.catch((error: unknown) => this.fail(error));
  }

  async *#bounded(stream: Readable): AsyncGenerator<Uint8Array> {
    const { limitBytes } = this.#receiver;
    let sizeBytes = 0;
    for await (const chunk of stream) {
      if (!(chunk instanceof Uint8Array)) continue;
      sizeBytes += chunk.length;
      if (sizeBytes > limitBytes) {
        const error = tooLarge(limitBytes);
        this.fail(error);
        throw error;
      }
      yield chunk;
    }
  }

  async #complete(): Promise<Upload> {
    await this.#parsed.promise;
    if (this.#stored === null) throw invalid("file: required; expected the file", "file");
    const { sizeBytes } = await this.#stored;
    return { fields: this.#fields, filename: this.#filename, sizeBytes };
  }
}

function tooLarge(limitBytes: number): PlatformError {
  return new PlatformError("request_too_large", `the file is over ${limitBytes} bytes`, {
    param: "file",
  });
}

function invalid(message: string, param?: string): PlatformError {
  return new PlatformError("request_invalid", message, param === undefined ? {} : { param });
}
