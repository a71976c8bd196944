import { readFileSync } from "node:fs";

import { z } from "zod";

/** Configuration that cannot work. The message names every fault, so that one restart mends all. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
}

/**
 * Read a service's configuration from environment variables.
 *
 * The schema is the documentation: one field per variable. A variable `NAME` may be given as
 * `NAME_FILE`, the path of a file that holds it, as secrets are mounted. Empty counts as not given.
 *
 * @throws ConfigurationError naming every variable at fault, and what was expected
 */
export function readEnvironment<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  source: Readonly<Record<string, string | undefined>> = process.env, // oxlint-disable-line node/no-process-env -- the one place that reads it
): z.infer<z.ZodObject<Shape>> {
  const faults: string[] = [];
  const found: Record<string, string> = {};
  for (const name of Object.keys(schema.shape)) {
    const value = readVariable(name, source, faults);
    if (value !== undefined && value !== "") found[name] = value;
  }
  const parsed = schema.safeParse(found);
  if (!parsed.success) {
    faults.push(...parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`));
  }
  if (!parsed.success || faults.length > 0) {
    throw new ConfigurationError(`the environment is not usable:\n  ${faults.join("\n  ")}`);
  }
  return parsed.data;
}

function readVariable(
  name: string,
  source: Readonly<Record<string, string | undefined>>,
  faults: string[],
): string | undefined {
  const path = source[`${name}_FILE`];
  if (!path) return source[name];
  if (source[name]) faults.push(`${name}: given twice, also as ${name}_FILE`);
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    faults.push(`${name}_FILE: ${path} cannot be read`);
    return undefined;
  }
}

/**
 * Make a child process' environment: all of ours, with `variables` on top.
 *
 * A file variant of one that is set here would contradict it, so it is left out.
 */
export function childEnvironment(
  variables: Readonly<Record<string, string>>,
): Record<string, string | undefined> {
  const inherited: Record<string, string | undefined> = { ...process.env }; // oxlint-disable-line node/no-process-env -- handed on whole
  for (const name of Object.keys(variables)) delete inherited[`${name}_FILE`];
  return { ...inherited, ...variables };
}

const MAX_PORT = 65_535;

/** A TCP port as a variable holds it; 0 lets the system choose. */
export const portVariable = z.coerce.number().int().min(0).max(MAX_PORT);

/** A whole number in a range as a variable holds it. */
export function integerVariable(min: number, max: number): z.ZodCoercedNumber {
  return z.coerce.number().int().min(min).max(max);
}
