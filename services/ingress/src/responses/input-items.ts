import type { ResponseItem } from "@headrace/contract";
import { type ResponseJob } from "@headrace/endpoints";
import { z } from "zod";

const text = z.string();
const contentSchema = z.union([text, z.array(z.looseObject({ type: text }))]).nullish();
type Content = z.infer<typeof contentSchema>;

/** The messages that the input became, as far as it can be read back from them. */
const messagesSchema = z.array(
  z.looseObject({
    role: text,
    content: contentSchema,
    reasoning: text.optional(),
    tool_calls: z
      .array(z.looseObject({ id: text, function: z.looseObject({ name: text, arguments: text }) }))
      .optional(),
    tool_call_id: text.optional(),
  }),
);
type Message = z.infer<typeof messagesSchema>[number];

const textPart = z.looseObject({ type: z.literal("text"), text });
const imagePart = z.looseObject({
  type: z.literal("image_url"),
  image_url: z.looseObject({ url: text, detail: text.optional() }),
});

/**
 * Give a response's input as items again, oldest first.
 *
 * The input itself is not kept, only the messages that it became: so texts are there and the ids are
 * not, and what was a developer's is the system's.
 */
export function toInputItems({ id, spec }: ResponseJob): ResponseItem[] {
  const key = id.slice(id.lastIndexOf("_") + 1);
  const messages = messagesSchema.parse(spec.request["messages"]);
  return messages
    .slice(spec.response?.has_instructions === true ? 1 : 0)
    .flatMap(toItems)
    .map(({ prefix, ...item }, index) => ({ ...item, id: `${prefix}_${key}_in${index}` }));
}

interface UnnamedItem {
  readonly prefix: string;
  readonly type: string;
  readonly [field: string]: unknown;
}

function toItems(message: Message): UnnamedItem[] {
  const { role, content, reasoning, tool_calls: calls = [], tool_call_id: callId } = message;
  if (role === "tool") {
    const output = typeof content === "string" ? content : toParts(content, "input_text");
    const type = "function_call_output";
    return [{ prefix: "fco", type, status: "completed", call_id: callId, output }];
  }
  if (role !== "assistant") {
    const said = toParts(content, "input_text");
    return [{ prefix: "msg", type: "message", status: "completed", role, content: said }];
  }
  return [
    ...(reasoning === undefined ? [] : [toReasoning(reasoning)]),
    ...(content === null || content === undefined ? [] : [toAnswer(content)]),
    ...calls.map(({ id: call, function: { name, arguments: given } }) => ({
      prefix: "fc",
      type: "function_call",
      status: "completed",
      call_id: call,
      name,
      arguments: given,
    })),
  ];
}

function toReasoning(said: string): UnnamedItem {
  const content = [{ type: "reasoning_text", text: said }];
  return { prefix: "rs", type: "reasoning", status: "completed", summary: [], content };
}

function toAnswer(said: Content): UnnamedItem {
  const content = toParts(said, "output_text").map((part) => ({ annotations: [], ...part }));
  return { prefix: "msg", type: "message", status: "completed", role: "assistant", content };
}

function toParts(content: Content, textType: string): object[] {
  const parts = typeof content === "string" ? [{ type: "text", text: content }] : (content ?? []);
  return parts.map((part) => {
    const said = textPart.safeParse(part);
    if (said.success) return { type: textType, text: said.data.text };
    const image = imagePart.safeParse(part);
    if (!image.success) return part;
    const { url, detail = "auto" } = image.data.image_url;
    return { type: "input_image", image_url: url, detail };
  });
}
