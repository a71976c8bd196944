import type { Submit } from "@headrace/contract";
import { expectedChatText } from "@headrace/engine-sim/language";
import type { Random } from "@headrace/testkit/instruments";

/** The engine's only model. */
const MODEL = "headrace-sim-8b";

/** A job to be submitted, and what must come of it. */
export interface JobCase {
  /** Unlike any other's of the run: the prompt. */
  readonly name: string;
  readonly submit: Submit;
  /** What the engine says to this prompt, which anyone can compute. */
  readonly expected: { readonly text: string; readonly tokens: number };
}

/** What a run may choose about its jobs. */
export interface CaseOptions {
  /** Most output of a job; jobs end by themselves, too. */
  readonly fewestTokens: number;
  readonly mostTokens: number;
  /** More of the request's fields, such as `headrace_fault`. */
  readonly request?: Readonly<Record<string, unknown>>;
  /** More of the submission's fields, such as `retention_seconds`. */
  readonly submit?: Partial<Omit<Submit, "endpoint" | "request">>;
}

/** Make jobs with prompts of their own and lengths drawn from the source. */
export function makeCases(random: Random, count: number, options: CaseOptions): JobCase[] {
  return makeCasesWhile(() => true, random, options)
    .take(count)
    .toArray();
}

/**
 * Make jobs as they are asked for, as long as the run goes on.
 *
 * @yields the same jobs in the same order for the same source
 */
export function* makeCasesWhile(
  goesOn: () => boolean,
  random: Random,
  options: CaseOptions,
): Generator<JobCase, void, undefined> {
  const lengths = random.fork("lengths");
  for (let at = 0; goesOn(); at += 1) {
    const name = `job ${at} of seed ${random.seed}`;
    yield makeCase(name, lengths.between(options.fewestTokens, options.mostTokens), options);
  }
}

/** Make one job of exactly this much output. */
export function makeCase(
  name: string,
  tokens: number,
  { request = {}, submit = {} }: Pick<CaseOptions, "request" | "submit"> = {},
): JobCase {
  const messages = [{ role: "user", content: name }];
  const { text, ids } = expectedChatText(messages, { maxTokens: tokens, ignoreEos: true });
  return {
    name,
    submit: {
      endpoint: "/v1/chat/completions",
      request: { model: MODEL, messages, max_tokens: tokens, ignore_eos: true, ...request },
      ...submit,
    },
    expected: { text, tokens: ids.length },
  };
}
