import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";

import { HeadraceError } from "@headrace/client";
import type { Batch } from "@headrace/contract";

import { CommandFailure, describeApiError, INTERRUPTED, systemCodeOf } from "../failure.ts";
import type { JobContext } from "../job-commands.ts";
import { onlyModel } from "../only-model.ts";
import { paint } from "../terminal.ts";
import { writeAnswers } from "./answers.ts";
import type { BatchOptions } from "./batch-flags.ts";
import { describeEnd, describeErrors } from "./batch-view.ts";
import { readRequests, type ReadInput } from "../batch-input/read-requests.ts";
import { LineWriter } from "./line-writer.ts";
import type { OutputFiles } from "./output-files.ts";
import { ProgressDisplay } from "./progress-display.ts";
import { toReading } from "./reading.ts";
import { beginRun, identify, type RunProgress, type RunState } from "./run-state.ts";
import { uploadRequests } from "./upload.ts";

/** Requests between two words on how many were read. */
const READ_STEP = 10_000;

/** What a run works with. */
export interface RunContext extends JobContext {
  readonly options: BatchOptions<"batch run">;
  readonly files: OutputFiles;
  readonly state: RunState;
}

/**
 * Runs a file of requests as a batch, and writes its answers. How far it has come is written down
 * beside the answers before the next step is taken, so that the same command goes on after anything:
 *
 * read (and check; the lines into a draft) → upload → make the batch → watch it → write.
 *
 * Killed while it reads or uploads, it does both again: the server keeps nothing of half an upload.
 * The batch is made under one key, so that it is one however often it is asked for.
 */
export class BatchRun {
  readonly #context: RunContext;
  readonly #display: ProgressDisplay;
  #progress: RunProgress | null;

  /** @throws CommandFailure where another run's answers stand */
  constructor(context: RunContext) {
    this.#context = context;
    const { options, files, state, terminal } = context;
    this.#display = new ProgressDisplay(terminal, { asJson: options.json });
    this.#progress = options.overwrite ? null : state.find();
    if (this.#progress === null && !options.overwrite) assertNothingThere(files);
  }

  /** Run it to its end, or as far as it comes. @returns the exit code */
  async run(): Promise<number> {
    try {
      return await this.#run();
    } catch (error) {
      this.#display.clear();
      return this.#giveUp(error);
    } finally {
      this.#display.clear();
      this.#context.files.sweep();
    }
  }

  async #run(): Promise<number> {
    const { headrace, signal, files } = this.#context;
    const input = await this.#read();
    const begun = this.#judge(input);
    if (begun.failed !== null && existsSync(files.answers)) return this.#tellOfEarlier(begun);
    const id = begun.batch_id ?? (await this.#make(begun, input));
    if (begun.batch_id === null) this.#tell(`${id} runs ${count(begun.requests)} requests`);
    let last: Batch | null = null;
    for await (const batch of headrace.batches.watch(id, { signal })) {
      this.#display.show(batch);
      last = batch;
    }
    if (last === null) throw new CommandFailure(`${id} was never seen`);
    return last.status === "failed" ? this.#tellOfFailure(last) : this.#write(last, input);
  }

  /** Read all of the input: into a draft, unless it was uploaded before. */
  async #read(): Promise<ReadInput> {
    const { headrace, signal, options, files } = this.#context;
    const earlier = this.#progress;
    const isUploaded = earlier !== null && earlier.input_file_id !== null;
    const writer = isUploaded ? null : await LineWriter.open(files.upload);
    let read = 0;
    try {
      const input = await readRequests({
        ...toReading(options),
        findModel: async () =>
          earlier?.model ?? onlyModel(headrace, { command: "batch run", signal }),
        take: ({ text }) => {
          read += 1;
          if (read % READ_STEP === 0) this.#display.say(`reading: ${count(read)} requests …`);
          return writer?.write(Buffer.from(`${text}\n`));
        },
        signal,
      });
      await writer?.close();
      return input;
    } catch (error) {
      await writer?.abandon();
      throw error;
    }
  }

  /** Go on with an earlier run of the same input, and with no other. */
  #judge({ digest, customIds, settled }: ReadInput): RunProgress {
    const { options, files, state } = this.#context;
    const asked = {
      digest,
      completionWindow: options["completion-window"],
      metadata: options.metadata,
    };
    if (this.#progress === null) {
      this.#progress = beginRun(asked, { requests: customIds.count, model: settled.model });
      state.save(this.#progress);
    }
    if (this.#progress.identity === identify(asked)) return this.#progress;
    const { batch_id: id, failed } = this.#progress;
    const isRunning = id !== null && failed === null;
    throw new CommandFailure(
      `${files.answers} belongs to a run of another input, or with other flags${id === null ? "" : `: ${id}`}.
Name another file with -o, or forget that run with --overwrite${isRunning ? `; it goes on until: ${this.#command("cancel", id)}` : ""}.`,
      { exitCode: 2 },
    );
  }

  /** Have the batch made. @returns its id */
  async #make(begun: RunProgress, { settled }: ReadInput): Promise<string> {
    const { headrace, signal, options, files } = this.#context;
    const fileId =
      begun.input_file_id ?? (await uploadRequests(this.#context, this.#display, settled.model));
    this.#save({ ...begun, input_file_id: fileId });
    await rm(files.upload, { force: true });
    const { id } = await headrace.batches.create(
      {
        input_file_id: fileId,
        endpoint: settled.endpoint,
        completion_window: options["completion-window"],
        ...(options.metadata === undefined ? {} : { metadata: options.metadata }),
      },
      { idempotencyKey: begun.idempotency_key, signal },
    );
    this.#save({ ...begun, input_file_id: fileId, batch_id: id });
    return id;
  }

  async #write(batch: Batch, { customIds }: ReadInput): Promise<number> {
    const { headrace, signal, files, options, terminal } = this.#context;
    const source = { headrace, signal, files, customIds };
    this.#display.say("fetching the answers …");
    const { output_file_id: answered, error_file_id: refused } = batch;
    const path = files.answers;
    if (refused === null) await rm(files.errors, { force: true });
    else await writeAnswers(source, { path: files.errors, fileId: refused, asText: false });
    await writeAnswers(source, { path, fileId: answered, asText: options.text });
    const failed = customIds.count - batch.request_counts.completed;
    if (this.#progress !== null) this.#save({ ...this.#progress, failed });
    if (options.json) {
      const written = { answers: path, errors: refused === null ? null : files.errors };
      terminal.out.write(`${JSON.stringify({ event: "done", batch, ...written })}\n`);
    }
    const isWhole = failed === 0 && batch.status === "completed";
    const mark = isWhole ? paint(terminal.err, "green", "✓") : paint(terminal.err, "yellow", "!");
    this.#tell(`${mark} ${describeEnd(batch, files).join("\n  ")}`);
    return isWhole ? 0 : 1;
  }

  /** The server refused the file: what is done about it is no going on, but another run. */
  #tellOfFailure(batch: Batch): number {
    const { terminal, state, options } = this.#context;
    state.forget();
    if (options.json) terminal.out.write(`${JSON.stringify({ event: "done", batch })}\n`);
    this.#tell(`${paint(terminal.err, "red", "✗")} ${describeErrors(batch).join("\n")}`);
    return 1;
  }

  #tellOfEarlier({ batch_id: id, failed, requests }: RunProgress): number {
    const { files, options, terminal } = this.#context;
    if (options.json) {
      terminal.out.write(`${JSON.stringify({ event: "done", answers: files.answers })}\n`);
    }
    const answered = count(requests - (failed ?? 0));
    this.#tell(
      `${files.answers} has the ${answered} answers of ${id ?? "an earlier run"} already; --overwrite asks again`,
    );
    return failed === 0 ? 0 : 1;
  }

  /** Say what is left behind, and how to go on. @returns the exit code @throws what nobody stopped */
  #giveUp(error: unknown): number {
    const { signal } = this.#context;
    const id = this.#progress?.batch_id ?? null;
    if (signal.aborted) {
      this.#tell(id === null ? "Stopped; no batch was made." : this.#howToGoOn(id));
      return INTERRUPTED;
    }
    if (id !== null && error instanceof HeadraceError) {
      const lost = error.code === "batch_not_found";
      const advice = lost ? "Ask again with --overwrite." : this.#howToGoOn(id);
      throw new CommandFailure(`${describeApiError(error)}\n${advice}`, { cause: error });
    }
    if (error instanceof Error && systemCodeOf(error) !== null) {
      const advice =
        id === null ? "Nothing is lost: give the same command again." : this.#howToGoOn(id);
      throw new CommandFailure(`${error.message}\n${advice}`, { cause: error });
    }
    throw error;
  }

  #howToGoOn(id: string): string {
    const { err } = this.#context.terminal;
    return `${id} goes on. See it to its end with the same command again, or end it with:
  ${paint(err, "bold", this.#command("cancel", id))}`;
  }

  #command(name: string, id: string): string {
    const { command, flags } = this.#context.terminal;
    return `${command} batch ${name} ${flags}${id}`;
  }

  #tell(text: string): void {
    if (!this.#context.options.json || this.#context.signal.aborted) this.#display.tell(text);
  }

  #save(progress: RunProgress): void {
    this.#progress = progress;
    this.#context.state.save(progress);
  }
}

function assertNothingThere({ answers, errors }: OutputFiles): void {
  const there = [answers, errors].find((path) => existsSync(path));
  if (there === undefined) return;
  throw new CommandFailure(
    `${there} is there already, and not of a run that could be gone on with.\nName another file with -o, or write over it with --overwrite.`,
    { exitCode: 2 },
  );
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
