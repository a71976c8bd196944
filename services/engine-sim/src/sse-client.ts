import { z } from "zod";

const chunkSchema = z.looseObject({
  choices: z.array(
    z.looseObject({
      index: z.int(),
      text: z.string().optional(),
      delta: z.looseObject({ content: z.string().optional() }).optional(),
      finish_reason: z.string().nullable(),
      stop_reason: z.union([z.string(), z.number()]).nullish(),
      token_ids: z.array(z.int()).nullish(),
      prompt_token_ids: z.array(z.int()).nullish(),
      logprobs: z.looseObject({}).nullable(),
    }),
  ),
  prompt_token_ids: z.array(z.int()).nullish(),
  usage: z.looseObject({ completion_tokens: z.int(), prompt_tokens: z.int() }).optional(),
  metrics: z.record(z.string(), z.number().nullable()).nullish(),
});

/** One chunk of a stream, as far as tests look at it. */
type Chunk = z.output<typeof chunkSchema>;

/** A stream read to its end, put together per choice. */
export interface StreamedAnswer {
  readonly chunks: readonly Chunk[];
  readonly text: string;
  readonly ids: readonly number[];
  readonly finishReason: string | null;
  readonly isDone: boolean;
}

/** Post a body and read the SSE answer to its end; `index` picks the choice put together. */
export async function postStreaming(url: string, body: object, index = 0): Promise<StreamedAnswer> {
  const response = await post(url, { ...body, stream: true });
  return readStream(await response.text(), index);
}

/** Post a JSON body. */
export async function post(url: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Understand the text of an SSE answer. */
export function readStream(text: string, index = 0): StreamedAnswer {
  const events = text.split("\n\n").filter((event) => event !== "");
  const payloads = events.map((event) => event.replace(/^data: /, ""));
  const chunks = payloads
    .filter((payload) => payload !== "[DONE]")
    .map((payload) => chunkSchema.parse(JSON.parse(payload)));
  const own = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index));
  return {
    chunks,
    text: own.map((choice) => choice.text ?? choice.delta?.content ?? "").join(""),
    ids: own.flatMap((choice) => choice.token_ids ?? []),
    finishReason: own.at(-1)?.finish_reason ?? null,
    isDone: payloads.at(-1) === "[DONE]",
  };
}
