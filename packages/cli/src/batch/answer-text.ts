import { batchOutputLineSchema } from "@headrace/contract";
import { z } from "zod";

const choicesSchema = z.object({
  choices: z.array(
    z.object({
      text: z.string().nullish(),
      message: z.looseObject({ content: z.string().nullish() }).nullish(),
      finish_reason: z.string().nullish(),
    }),
  ),
});
const embeddingsSchema = z.object({
  data: z.array(z.object({ embedding: z.unknown() })),
});
const responseSchema = z.object({
  status: z.string(),
  output: z.array(
    z.looseObject({
      content: z.array(z.looseObject({ text: z.string().nullish() })).nullish(),
    }),
  ),
});

const FIRST_ERROR_STATUS = 400;

/**
 * Write of an answer's line what most are after: `{custom_id, text, finish_reason}`, for embeddings
 * `{custom_id, embedding}`; with more than one of them, `texts` or `embeddings` as well; of a request
 * that failed `{custom_id, error}`.
 *
 * @throws SyntaxError, ZodError for a line that is no batch's
 */
export function toTextLine(line: string): string {
  const { custom_id, response, error } = batchOutputLineSchema.parse(JSON.parse(line));
  const isAnswered = response !== null && response.status_code < FIRST_ERROR_STATUS;
  const answer = isAnswered ? toAnswer(response.body) : { error: error ?? response?.body["error"] };
  return JSON.stringify({ custom_id, ...answer });
}

function toAnswer(body: unknown): object {
  const choices = choicesSchema.safeParse(body).data?.choices;
  if (choices !== undefined) {
    const texts = choices.map(({ text, message }) => text ?? message?.content ?? null);
    const reason = choices[0]?.finish_reason ?? null;
    return {
      text: texts[0] ?? null,
      finish_reason: reason,
      ...(texts.length > 1 ? { texts } : {}),
    };
  }
  const vectors = embeddingsSchema.safeParse(body).data?.data.map(({ embedding }) => embedding);
  if (vectors !== undefined) {
    return { embedding: vectors[0], ...(vectors.length > 1 ? { embeddings: vectors } : {}) };
  }
  const response = responseSchema.safeParse(body).data;
  if (response === undefined) return { text: null, finish_reason: null };
  const parts = response.output.flatMap(({ content }) => content ?? []);
  return {
    text: parts.map(({ text }) => text ?? "").join(""),
    finish_reason: response.status === "completed" ? "stop" : response.status,
  };
}
