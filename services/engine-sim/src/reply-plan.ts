import { ApiError } from "./api-error.ts";
import { makeInstance, type Draw, type JsonSchema } from "./json-instance.ts";
import { proseAfter } from "./language.ts";
import type { ChatBody, ToolBody } from "./request-schemas.ts";
import { Script, type Segment } from "./script.ts";

/** What a model that reasons thinks before each answer. */
export const THOUGHT = "Let me think about what was asked before I answer it.";

/** Draws for made-up values; above those of the prose and of log probabilities. */
const FIRST_DRAW = 10_000;
/** Without a schema, an object of this form. */
const ANY_OBJECT: JsonSchema = {
  type: "object",
  properties: { answer: { type: "string", minLength: 160 }, confident: { type: "boolean" } },
};

/** How a chat is to be answered, where not by prose alone. */
export interface ReplyPlan {
  /** Choosing one tool by name is not told of as a call at the end: vLLM says `stop`. */
  readonly isNamed: boolean;
  /** What is said to a prompt under a seed. */
  readonly script: (promptIds: readonly number[], seed: number) => Script;
}

/**
 * Decide how a chat is answered, as a model would that reasons when asked to, calls the tools that
 * the user's last message names, and keeps to a form.
 *
 * @returns null for prose alone
 * @throws ApiError 400 in vLLM's words
 */
export function planReply(body: ChatBody): ReplyPlan | null {
  const reasons = wantsReasoning(body);
  const calls = chooseTools(body);
  const schema = calls.length > 0 ? null : formOf(body);
  if (!reasons && calls.length === 0 && schema === null) return null;
  const script = (promptIds: readonly number[], seed: number): Script => {
    const draw = drawsAfter(promptIds, seed);
    const segments: Segment[] = reasons ? [{ kind: "reasoning", text: THOUGHT }] : [];
    for (const { function: tool } of calls) {
      const given = makeInstance(tool.parameters ?? { type: "object" }, draw);
      segments.push({ kind: "call", name: tool.name, arguments: JSON.stringify(given) });
    }
    if (schema !== null) {
      segments.push({ kind: "content", text: JSON.stringify(makeInstance(schema, draw)) });
    }
    return new Script(segments, { isWhole: calls.length > 0 || schema !== null });
  };
  return { isNamed: typeof body.tool_choice === "object" && body.tool_choice !== null, script };
}

function wantsReasoning({
  reasoning_effort: effort,
  chat_template_kwargs: template,
}: ChatBody): boolean {
  if (template?.["enable_thinking"] === true) return true;
  return effort !== null && effort !== undefined && effort !== "none";
}

function chooseTools(body: ChatBody): readonly ToolBody[] {
  const { tool_choice: choice } = body;
  const tools = body.tools ?? [];
  if (tools.length === 0) {
    if (choice === null || choice === undefined || choice === "none") return [];
    throw refused("When using `tool_choice`, `tools` must be set.");
  }
  if (choice === "none") return [];
  if (typeof choice === "object" && choice !== null) {
    const chosen = tools.find((tool) => tool.function.name === choice.function.name);
    if (chosen !== undefined) return [chosen];
    throw refused(
      "The tool specified in `tool_choice` does not match any of the specified `tools`",
    );
  }
  const named = tools.filter((tool) => names(lastUserText(body), tool.function.name));
  const called = named.length === 0 && choice === "required" ? tools.slice(0, 1) : named;
  return body.parallel_tool_calls === false ? called.slice(0, 1) : called;
}

function lastUserText({ messages }: ChatBody): string {
  const last = messages.at(-1);
  if (last?.role !== "user") return "";
  if (typeof last.content === "string") return last.content;
  return (last.content ?? []).map((part) => part.text ?? "").join(" ");
}

function names(text: string, tool: string): boolean {
  return text.split(/[^\w-]+/).includes(tool);
}

function formOf(body: ChatBody): JsonSchema | null {
  if (body.structured_outputs?.json !== undefined) return body.structured_outputs.json;
  const { response_format: format } = body;
  if (format?.type === "json_schema") return format.json_schema.schema;
  return format?.type === "json_object" ? ANY_OBJECT : null;
}

function drawsAfter(promptIds: readonly number[], seed: number): Draw {
  const prose = proseAfter(promptIds, seed);
  let purpose = FIRST_DRAW;
  return () => prose.draw(purpose++);
}

function refused(message: string): ApiError {
  return new ApiError(400, message, { param: "tool_choice" });
}
