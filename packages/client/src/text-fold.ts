import type { ChoiceDelta, JobEvent } from "@headrace/contract";

/** The next part of a job's text. */
export interface TextPiece {
  /** When true, everything shown before is void, and `text` is where it starts anew. */
  readonly reset: boolean;
  readonly text: string;
}

/**
 * Folds a job's events into the text of its first choice: content of a chat, text of a completion.
 * Reasoning, tool calls and further choices are in the events.
 *
 * Remembers the text, since an attempt may go on from any earlier place: after a Redis loss the
 * log holds less than this reader has seen.
 */
export class TextFold {
  /** The text of each output event that stands. */
  #pieces: string[] = [];

  /** Take a job's next event, from its first on. @returns null when it changes nothing */
  take(event: JobEvent): TextPiece | null {
    switch (event.type) {
      case "output.delta": {
        const text = textOf(event.choices ?? []);
        this.#pieces.push(text);
        return text === "" ? null : { reset: false, text };
      }
      case "attempt.started": {
        const standing = event.reset ? 0 : event.from;
        const voided = this.#pieces.slice(standing).join("");
        this.#pieces = this.#pieces.slice(0, standing);
        return voided === "" ? null : { reset: true, text: this.#pieces.join("") };
      }
      case "job.queued":
      case "job.completed":
      case "job.failed":
      case "job.cancelled":
      case "job.expired":
        return null;
    }
  }
}

function textOf(choices: readonly ChoiceDelta[]): string {
  const first = choices.filter(({ index }) => index === 0);
  return first.map((choice) => choice.text ?? contentOf(choice.delta)).join("");
}

function contentOf(delta: Readonly<Record<string, unknown>> | undefined): string {
  const content = delta?.["content"];
  return typeof content === "string" ? content : "";
}
