import type { Batch } from "@headrace/contract";

import { paint, type Output, type Terminal } from "../terminal.ts";
import { describeProgress, drawBar, fitLine } from "./progress-text.ts";

const ERASE_LINE = "\r\u001B[2K";
/** How often a log gets a line, ms. */
const LOG_MS = 10_000;
/** A bar on a line shorter than this would leave no room for words. */
const LEAST_COLUMNS = 60;
const BAR_COLUMNS = 20;

/**
 * Shows how a run gets on: at a terminal one line, rewritten in place; in a log a line every ten
 * seconds, and for whatever is new; for machines each state as a line of JSON.
 */
export class ProgressDisplay {
  readonly #terminal: Terminal;
  readonly #asJson: boolean;
  readonly #now: () => number;
  #isShown = false;
  #said = "";
  #saidAtMs = Number.NEGATIVE_INFINITY;

  /** @param now ms of a clock that never goes back */
  constructor(
    terminal: Terminal,
    {
      asJson,
      now = () => performance.now(),
    }: { readonly asJson: boolean; readonly now?: () => number },
  ) {
    this.#terminal = terminal;
    this.#asJson = asJson;
    this.#now = now;
  }

  /** Show what is being done before there is a batch, or after it has ended. */
  say(text: string): void {
    const { err } = this.#terminal;
    if (err.isTty) this.#rewrite(paint(err, "dim", text.slice(0, err.columns - 1)));
  }

  /** Write a line that stays. */
  tell(text: string): void {
    this.clear();
    this.#terminal.err.write(`${text}\n`);
  }

  /** Show a batch. */
  show(batch: Batch): void {
    if (this.#asJson) this.#showJson(batch);
    const { err } = this.#terminal;
    if (err.isTty) this.#rewrite(drawLine(batch, err));
    else if (!this.#asJson) this.#log(batch);
  }

  /** Take the line away. */
  clear(): void {
    if (this.#isShown) this.#terminal.err.write(ERASE_LINE);
    this.#isShown = false;
  }

  #showJson(batch: Batch): void {
    const text = JSON.stringify({ event: "progress", batch });
    if (text === this.#said) return;
    this.#said = text;
    this.#terminal.out.write(`${text}\n`);
  }

  #log(batch: Batch): void {
    const now = this.#now();
    const kind = `${batch.status} ${batch.progress.waiting_for ?? ""}`;
    if (kind === this.#said && now - this.#saidAtMs < LOG_MS) return;
    this.#said = kind;
    this.#saidAtMs = now;
    const line = fitLine(describeProgress(batch), Number.POSITIVE_INFINITY);
    this.#terminal.err.write(`${batch.id}: ${line.trim()}\n`);
  }

  #rewrite(line: string): void {
    this.#terminal.err.write(ERASE_LINE + line);
    this.#isShown = true;
  }
}

/** One line that fits: a line that wraps could not be rewritten. */
function drawLine(batch: Batch, err: Output): string {
  const text = describeProgress(batch);
  const columns = err.columns - 1;
  if (text.share === null || columns < LEAST_COLUMNS) return fitLine(text, columns);
  const bar = paint(err, "cyan", drawBar(text.share, BAR_COLUMNS));
  return `${bar} ${fitLine(text, columns - BAR_COLUMNS - 1)}`;
}
