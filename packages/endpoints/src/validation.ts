import { PlatformError } from "@headrace/contract";
import type { z } from "zod";

/** A param or a name longer than this is cut: errors name fields, they do not carry values. */
const LONGEST_QUOTE = 128;

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * Check what a caller sent.
 *
 * @param at path of the value within the request, for messages: `request`, or "" for a body
 * @throws PlatformError `request_invalid` naming the first field at fault, what was expected and
 *   what was found; of values only numbers and short names are quoted
 */
export function validate<Value>(schema: z.ZodType<Value>, value: unknown, at = ""): Value {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  if (issue === undefined) throw new PlatformError("request_invalid", "the request is not valid");
  const { path, text } = describe(issue, at === "" ? [] : [at]);
  const param = spell(path);
  throw new PlatformError(
    "request_invalid",
    `${param === "" ? "the body" : param}: ${text}`,
    param === "" ? {} : { param },
  );
}

interface Fault {
  readonly path: Path;
  readonly text: string;
}

function describe(issue: Issue, before: Path): Fault {
  const path = [...before, ...issue.path];
  switch (issue.code) {
    case "unrecognized_keys":
      return { path: [...path, issue.keys[0] ?? ""], text: "unknown field" };
    case "invalid_key":
      return { path, text: `not a valid name: ${issue.issues[0]?.message ?? issue.message}` };
    case "invalid_union":
      return describeUnion(issue, path);
    case "invalid_type":
      if (issue.input === undefined) return { path, text: `required; expected ${wantOf(issue)}` };
      return { path, text: `expected ${wantOf(issue)}, found ${kindOf(issue.input)}` };
    case "too_big":
      return { path, text: `expected at most ${issue.maximum}${unitOf(issue)}` };
    case "too_small":
      return { path, text: `expected at least ${issue.minimum}${unitOf(issue)}` };
    case "invalid_format":
    case "invalid_value":
    case "not_multiple_of":
    case "invalid_element":
    case "custom":
      return { path, text: issue.message };
  }
}

/** Follow the branch that got furthest; where none got anywhere, say what each had wanted. */
function describeUnion(issue: z.core.$ZodIssueInvalidUnion, path: Path): Fault {
  const firsts = issue.errors.flatMap(([first]) => (first === undefined ? [] : [first]));
  const [best] = firsts.toSorted((a, b) => progressOf(b) - progressOf(a));
  if (best === undefined) return { path, text: issue.message };
  const wanted = firsts.flatMap((first) => (first.code === "invalid_type" ? [first.expected] : []));
  if (best.path.length > 0 || wanted.length < firsts.length) return describe(best, path);
  const found = issue.input === undefined ? "nothing" : kindOf(issue.input);
  return { path, text: `expected ${[...new Set(wanted)].join(" or ")}, found ${found}` };
}

/** How far into the value a branch came before it found a fault. */
function progressOf({ path, code }: Issue): number {
  // A whole that is too big or too small has nothing wrong within: its parts are looked at first.
  if (path.length === 0 && (code === "too_big" || code === "too_small")) return Number.MAX_VALUE;
  const index = path.at(-1);
  const shareOfList = typeof index === "number" ? index / (index + 1) : 0;
  return path.length * 2 + (code === "invalid_type" ? 0 : 1) + shareOfList;
}

/** What a value should have been, in JSON's words. */
function wantOf({ expected }: z.core.$ZodIssueInvalidType): string {
  return expected === "record" ? "object" : expected;
}

function unitOf({ origin, input }: z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall): string {
  if (typeof input === "number") return `, found ${input}`;
  if (typeof input === "string") return ` characters, found ${input.length}`;
  if (Array.isArray(input)) return ` items, found ${input.length}`;
  return ` (${origin})`;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "number") return Number.isInteger(value) ? "number" : `number ${value}`;
  return Array.isArray(value) ? "array" : typeof value;
}

/** Write a path as a caller would: `messages[0].role`. */
function spell(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else text += text === "" ? String(step) : `.${String(step)}`;
  }
  return text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text;
}
