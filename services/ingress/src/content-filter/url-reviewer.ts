import { FilterFailure, type Prompt, type Reviewer } from "./content-filter.ts";

/** A verdict is the request at most, and a little around it. */
const VERDICT_MARGIN_BYTES = 65_536;

export interface UrlReviewerOptions {
  readonly url: string;
  /** Sent as `Authorization: Bearer`; null sends none. */
  readonly token: string | null;
  /** Largest request that callers may send, and so that a filter may give back, bytes. */
  readonly bodyLimitBytes: number;
}

/** Asks a filter by HTTP: a POST of the prompt as JSON, answered 200 with the verdict as JSON. */
export class UrlReviewer implements Reviewer {
  readonly #options: UrlReviewerOptions;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: UrlReviewerOptions) {
    this.#options = options;
    this.#headers = {
      "content-type": "application/json",
      accept: "application/json",
      ...(options.token === null ? {} : { authorization: `Bearer ${options.token}` }),
    };
  }

  async review(prompt: Prompt, signal: AbortSignal): Promise<Buffer> {
    const { url, bodyLimitBytes } = this.#options;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: this.#headers,
        body: JSON.stringify(prompt),
        // A prompt goes to the address that the operator named, and to no other.
        redirect: "error",
        signal,
      });
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new FilterFailure(`the filter answered ${response.status}`);
      }
      return await readBytes(response, bodyLimitBytes + VERDICT_MARGIN_BYTES);
    } catch (error) {
      if (error instanceof FilterFailure) throw error;
      throw new FilterFailure(`the filter could not be asked (${reasonOf(error)})`);
    }
  }
}

async function readBytes(response: Response, limitBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.length;
    if (sizeBytes > limitBytes) {
      throw new FilterFailure(`the verdict is over ${limitBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, sizeBytes);
}

/** `fetch` hides why it failed in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause ? String(cause.code) : "no connection";
}
