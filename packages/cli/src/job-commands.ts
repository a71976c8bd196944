import { text as readAll } from "node:stream/consumers";

import { HeadraceError, type Headrace } from "@headrace/client";
import { isTerminal, type Endpoint, type Job, type Submit } from "@headrace/contract";

import { requestOnce } from "./acceptance.ts";
import { CommandFailure, INTERRUPTED } from "./failure.ts";
import type {
  CancelOptions,
  GetOptions,
  RetryOptions,
  SubmitOptions,
  WatchOptions,
} from "./job-flags.ts";
import { JobWatch } from "./job-watch.ts";
import { renderJob } from "./job-view.ts";
import { onlyModel } from "./only-model.ts";
import { renderSummary } from "./summary.ts";
import { paint, type Terminal } from "./terminal.ts";
import { UsageError } from "./usage-error.ts";
import { renderTimeline } from "./timeline-view.ts";

/** What every command on a job works with. */
export interface JobContext {
  readonly headrace: Headrace;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Queue a generation; then watch it, unless told otherwise. @returns the exit code */
export async function submitJob(options: SubmitOptions, context: JobContext): Promise<number> {
  const submit = await toSubmit(options, context);
  const request = {
    command: "submit",
    key: options["idempotency-key"],
    terminal: context.terminal,
    signal: context.signal,
  };
  const job = await requestOnce(request, (key) => submitOrName(submit, key, context));
  return follow(job, options, context);
}

/** Run an ended job again; then watch it, unless told otherwise. @returns the exit code */
export async function retryJob(options: RetryOptions, context: JobContext): Promise<number> {
  const { headrace, terminal, signal } = context;
  const [id] = options.positionals;
  const job = await requestOnce(
    { command: "retry", key: options["idempotency-key"], terminal, signal },
    (idempotencyKey) => headrace.retry(id, { signal, idempotencyKey }),
  );
  if (!options.detach && !options.json) {
    terminal.err.write(`${paint(terminal.err, "dim", `· ${job.id} runs ${id} again`)}\n`);
  }
  return follow(job, options, context);
}

/** Show a job from its first word to its end. @returns the exit code */
export async function watchJob(options: WatchOptions, context: JobContext): Promise<number> {
  return watch(options.positionals[0], context);
}

/** Show a job as it is now. @returns the exit code */
export async function getJob(options: GetOptions, context: JobContext): Promise<number> {
  const { headrace, terminal, signal } = context;
  if (options.timeline) return getTimeline(options, context);
  const job = await headrace.get(options.positionals[0], { signal });
  if (options.json) {
    terminal.out.write(toJson(job));
    return 0;
  }
  const latency = isTerminal(job.status) ? await headrace.latency(job.id, { signal }) : null;
  terminal.out.write(`${renderJob(job, latency, terminal.out).join("\n")}\n`);
  return 0;
}

async function getTimeline(
  { positionals: [id], json }: GetOptions,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const timeline = await headrace.timeline(id, { signal });
  terminal.out.write(
    json ? toJson(timeline) : `${renderTimeline(timeline, terminal.out).join("\n")}\n`,
  );
  return 0;
}

/** Stop a job. @returns the exit code */
export async function cancelJob(options: CancelOptions, context: JobContext): Promise<number> {
  const { headrace, terminal, signal } = context;
  const job = await headrace.cancel(options.positionals[0], { signal });
  terminal.out.write(options.json ? toJson(job) : `${describeCancelled(job)}\n`);
  return 0;
}

function describeCancelled({ id, status }: Job): string {
  if (status === "cancelled") return `${id} is cancelled`;
  return isTerminal(status) ? `${id} had ended before: ${status}` : `${id} is being cancelled`;
}

/** See a new job to its end, as it was asked for. */
async function follow(
  job: Job,
  options: { readonly detach: boolean; readonly json: boolean },
  context: JobContext,
): Promise<number> {
  const { headrace, terminal, signal } = context;
  if (options.detach) {
    terminal.out.write(options.json ? toJson(job) : `${job.id}\n`);
    return 0;
  }
  if (!options.json) return watch(job.id, context);
  const ended = await headrace.wait(job.id, { signal });
  terminal.out.write(toJson(ended));
  return ended.status === "completed" ? 0 : 1;
}

async function watch(id: string, { headrace, terminal, signal }: JobContext): Promise<number> {
  try {
    const ended = await new JobWatch(headrace, id, terminal).run(signal);
    terminal.err.write(`\n${renderSummary(ended, terminal.err).join("\n")}\n`);
    return ended.status === "completed" ? 0 : 1;
  } catch (error) {
    if (!signal.aborted) throw error;
    const hint = paint(terminal.err, "bold", `${terminal.command} watch ${terminal.flags}${id}`);
    terminal.err.write(`\nThe job goes on. Watch it again with: ${hint}\n`);
    return INTERRUPTED;
  }
}

async function toSubmit(options: SubmitOptions, { headrace, signal }: JobContext): Promise<Submit> {
  const [given] = options.positionals;
  const prompt = given === "-" ? await readAll(process.stdin) : given;
  if (prompt.trim() === "") throw new UsageError("the prompt is empty", "submit");
  const model = options.model ?? (await onlyModel(headrace, { command: "submit", signal }));
  const maxTokens = options["max-tokens"];
  return {
    endpoint: options.endpoint,
    request: {
      model,
      ...toInput(options.endpoint, prompt),
      ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    },
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(options.webhook === undefined ? {} : { webhook: options.webhook }),
    ...(options.deadline === undefined ? {} : { deadline_seconds: options.deadline }),
  };
}

function toInput(endpoint: Endpoint, prompt: string): object {
  switch (endpoint) {
    case "/v1/chat/completions":
      return { messages: [{ role: "user", content: prompt }] };
    case "/v1/completions":
      return { prompt };
    case "/v1/embeddings":
      return { input: prompt };
  }
}

async function submitOrName(
  submit: Submit,
  idempotencyKey: string,
  { headrace, signal }: JobContext,
): Promise<Job> {
  try {
    return await headrace.submit(submit, { signal, idempotencyKey });
  } catch (error) {
    if (!(error instanceof HeadraceError) || error.code !== "model_not_found") throw error;
    // Most often a typing error: say what there is.
    const models = await headrace.models({ signal });
    const names = models.map(({ id }) => `  --model ${id}`).join("\n");
    throw new CommandFailure(`${error.message}\nThere is:\n${names}`, { cause: error });
  }
}

function toJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
