import { MODEL } from "./stack.ts";

/** Bytes of the prompt that jobs carry where only their number and size matter. */
export const PROMPT_BYTES = 1_000;

const SENTENCE =
  "A headrace is the channel that carries water to a turbine; it fills as it flows. ";

/** A chat request with a prompt of that many bytes. */
const REQUEST = {
  model: MODEL,
  messages: [
    {
      role: "user",
      content: SENTENCE.repeat(Math.ceil(PROMPT_BYTES / SENTENCE.length)).slice(0, PROMPT_BYTES),
    },
  ],
  max_tokens: 64,
};

/** The same as the body of `POST /v1/jobs`. */
export const SUBMISSION = { endpoint: "/v1/chat/completions", request: REQUEST };
