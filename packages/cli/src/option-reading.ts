import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

import type { z } from "zod";

import { UsageError } from "./usage-error.ts";

const BOOLEANS: ReadonlySet<string> = new Set([
  "once",
  "verbose",
  "detach",
  "json",
  "timeline",
  "all",
  "now",
  "failed",
  "dry-run",
  "text",
  "overwrite",
]);
/** Flags that have a letter, too. */
const LETTERS: Readonly<Record<string, string>> = { output: "o" };

/** Read the flags and words of a command. @throws UsageError naming each that is wrong */
export function readOptions<Shape extends z.ZodRawShape>(
  name: string,
  schema: z.ZodObject<Shape>,
  args: readonly string[],
): z.infer<z.ZodObject<Shape>> {
  const flags = Object.keys(schema.shape).filter((key) => key !== "positionals");
  const options: ParseArgsOptionsConfig = Object.fromEntries(
    flags.map((flag) => [flag, describeFlag(flag)]),
  );
  const given = parseFlags(name, options, args);
  const takesPositionals = "positionals" in schema.shape;
  if (!takesPositionals && given.positionals.length > 0) {
    throw new UsageError(`${JSON.stringify(given.positionals[0])} is not a flag`, name);
  }
  const positionals = takesPositionals ? { positionals: given.positionals } : {};
  const parsed = schema.safeParse({ ...given.values, ...positionals });
  if (parsed.success) return parsed.data;
  throw new UsageError(parsed.error.issues.map(describeIssue).join("\n"), name);
}

function describeFlag(flag: string): ParseArgsOptionsConfig[string] {
  const short = LETTERS[flag];
  const type = BOOLEANS.has(flag) ? "boolean" : "string";
  return short === undefined ? { type } : { type, short };
}

function parseFlags(
  name: string,
  options: ParseArgsOptionsConfig,
  args: readonly string[],
): { readonly values: object; readonly positionals: readonly string[] } {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // What follows the first sentence is about positionals that begin with a dash.
    throw new UsageError(message.replace(/\. .*/s, ""), name);
  }
}

function describeIssue({ path, message }: z.core.$ZodIssue): string {
  const [flag] = path;
  return flag === "positionals" ? message : `--${String(flag)}: ${message}`;
}
