import { PlatformError } from "@headrace/contract";

/** Why each field is not taken, and what to do instead. */
const ADVICE: Readonly<Record<string, string>> = {
  previous_response_id: "earlier turns are not looked up; send them in input",
  conversation: "conversations are not kept; send the earlier turns in input",
  prompt: "prompt templates are not kept; send instructions and input",
  context_management: "input is not compacted; send what the model is to read",
  moderation: "nothing is moderated; leave it out",
  access_programs: "there are no access programs; leave it out",
  image: "images are given to the engine as they are; leave it out",
  prompt_cache_options: "the engine caches prompts by itself; leave it out",
  prompt_cache_retention: "the engine caches prompts by itself; leave it out",
  messages: "this is a field of chat completions; use input",
  max_tokens: "this is a field of chat completions; use max_output_tokens",
  max_completion_tokens: "this is a field of chat completions; use max_output_tokens",
  response_format: "this is a field of chat completions; use text.format",
  reasoning_effort: "this is a field of chat completions; use reasoning.effort",
  logprobs: "this is a field of chat completions; use top_logprobs",
  functions: "this is a field of chat completions; use tools",
  function_call: "this is a field of chat completions; use tool_choice",
  n: "a response has one output; send several requests",
  best_of: "a response has one output; send several requests",
};

/**
 * Refuse what the Responses API has and Headrace does not, rather than answer as if it had not been
 * asked for.
 *
 * @throws PlatformError `request_invalid` naming the field and what to do instead
 */
export function refuseUnserved(request: Readonly<Record<string, unknown>>): void {
  for (const [field, value] of Object.entries(request)) {
    if (value === null || !Object.hasOwn(ADVICE, field)) continue;
    throw refusal(field, ADVICE[field] ?? "");
  }
}

/** Make the error that refuses a field. */
export function refusal(param: string, advice: string): PlatformError {
  return new PlatformError("request_invalid", `${param}: ${advice}`, { param });
}
