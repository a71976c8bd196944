import type { BatchBroker, BatchRecord, KnownModel, LineState } from "@headrace/broker";
import type { ErrorCode, JobEnd, JobId } from "@headrace/contract";
import { readEndedResponse, readEnding, toCallError } from "@headrace/endpoints";

import type { Input } from "../input/input.ts";
import type { ResultLog } from "../results/result-log.ts";
import type { LineBoard, OpenLine } from "./line-board.ts";
import { nameLine, toAnswer, toFailure, toUnanswered, type Unanswered } from "./line-result.ts";
import { readLineRequest } from "./line-submission.ts";

/** Tries of one line, where another may fare better. */
const MOST_TRIES = 5;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const UNKNOWN_LINE_MS = 2_000;
/** What the latest line counts among those before it, in how long lines take. */
const LATEST_SHARE = 0.02;

/**
 * What went wrong with an engine, not with the line: another try may do. A line that workers have died
 * of three times is not among them: it may be what kills them.
 */
const PASSING: ReadonlySet<string | null> = new Set<ErrorCode>([
  "engine_unavailable",
  "engine_timeout",
  "engine_failed",
  "output_interrupted",
]);

/** What settling works with. */
export interface SettlingTools {
  readonly broker: BatchBroker;
  readonly batch: BatchRecord;
  readonly model: KnownModel;
  readonly input: Input;
  readonly board: LineBoard;
  readonly results: ResultLog;
  /** The present by Redis' clock, ms. */
  readonly now: () => number;
}

/** Judges what the jobs of lines came to: a result, or another try. */
export class LineSettling {
  readonly #tools: SettlingTools;
  /** Why a line's job is cancelled: by this batch's end, whichever that is. */
  #reason: Unanswered = "batch_cancelled";
  #lineMs = UNKNOWN_LINE_MS;

  constructor(tools: SettlingTools) {
    this.#tools = tools;
  }

  /** How long a line takes an engine that has others beside it, ms: of late, or a guess before any ended. */
  get lineMs(): number {
    return this.#lineMs;
  }

  /** Say why lines are cancelled from now on. */
  endWith(reason: Unanswered): void {
    this.#reason = reason;
  }

  /** Give all lines that are under way their result, since there will be none. */
  abandon(): void {
    const { board, results } = this.#tools;
    for (const line of board.lines) {
      results.add(line, toUnanswered(nameLine(this.#tools, line), this.#reason, null));
    }
  }

  /**
   * Judge how a line's job stands; one that is open stays as it is.
   *
   * @param state null when the job is not there
   */
  async settle(line: OpenLine, job: JobId, state: LineState | null): Promise<void> {
    const { board, results, now } = this.#tools;
    // Redis has lost it: the same try is made again.
    if (state === null) return board.delay(line, now());
    const { status, end } = state;
    if (end === null) return;
    const name = nameLine(this.#tools, line);
    switch (status) {
      case "completed": {
        const body = await this.#readAnswer(line, job, end);
        if (body === null) this.#tryAgain(line);
        else results.add(line, toAnswer(name, body, end));
        this.#noteTime(end);
        break;
      }
      case "failed": {
        const failure = toCallError(status, end);
        const isFinal = line.nth + 1 >= MOST_TRIES || !PASSING.has(failure?.error.code ?? null);
        if (failure !== null && isFinal) results.add(line, toFailure(name, failure, end));
        else this.#tryAgain(line);
        break;
      }
      case "expired":
        results.add(line, toUnanswered(name, "batch_expired", end));
        break;
      case "cancelled":
        results.add(line, toUnanswered(name, this.#reason, end));
        break;
      case "queued":
      case "in_progress":
    }
  }

  #noteTime({ at }: JobEnd): void {
    const tookMs = at.ended - (at.claimed ?? at.ended);
    if (tookMs > 0) this.#lineMs += (tookMs - this.#lineMs) * LATEST_SHARE;
  }

  #tryAgain(line: OpenLine): void {
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** line.nth, LONGEST_PAUSE_MS);
    line.nth += 1;
    this.#tools.board.delay(line, this.#tools.now() + pauseMs);
  }

  /** @returns null when it is gone */
  async #readAnswer(
    { place }: OpenLine,
    id: JobId,
    end: JobEnd,
  ): Promise<Readonly<Record<string, unknown>> | null> {
    const { broker, batch, input } = this.#tools;
    const { model } = input;
    if (batch.endpoint !== "/v1/responses") {
      const ending = await readEnding(broker, { id, spec: { endpoint: batch.endpoint, model } });
      return ending?.result ?? null;
    }
    const { request, response } = readLineRequest(await input.lineAt(place));
    const spec = { request, metadata: {}, ...(response === undefined ? {} : { response }) };
    const job = { id, spec, acceptedAtMs: end.at.accepted };
    const answer = await readEndedResponse(broker, job);
    return answer.status === "in_progress" ? null : answer;
  }
}
