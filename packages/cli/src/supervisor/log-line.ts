import { z } from "zod";

/** The fields of our services' log lines that a person wants to see. */
const lineSchema = z.looseObject({
  msg: z.string(),
  level: z.union([z.string(), z.number()]).optional(),
  error: z.looseObject({ message: z.string() }).optional(),
});

/** What a worker says once it has found its engine. */
const probedSchema = z.object({
  msg: z.literal("engine probed"),
  engine: z.string(),
  version: z.string().nullable(),
  hasMetrics: z.boolean(),
  hasTokenIds: z.boolean(),
  models: z.array(z.string()).min(1),
});
export type EngineProbe = z.infer<typeof probedSchema>;

/** Read a line as the worker's word on its engine. @returns null for any other */
export function findEngineProbe(line: string): EngineProbe | null {
  return line.includes('"engine probed"')
    ? (probedSchema.safeParse(findJson(line)).data ?? null)
    : null;
}

/** Say in one line what an engine lacks, and what follows from it. @returns null when nothing */
export function describeLacks({ hasMetrics, hasTokenIds }: EngineProbe): string | null {
  const lacks = [
    ...(hasTokenIds ? [] : ["returns no token ids (a job that is broken off starts over)"]),
    ...(hasMetrics ? [] : ["has no vllm:* metrics (its load is judged by its answers)"]),
  ];
  return lacks.length === 0 ? null : `the engine ${lacks.join(" and ")}`;
}

/** Show a log line to a person: JSON is reduced to what it says. */
export function describeLogLine(line: string): string {
  const parsed = lineSchema.safeParse(findJson(line));
  if (!parsed.success) return line;
  const { msg, error } = parsed.data;
  return error === undefined || error.message === msg ? msg : `${msg}: ${error.message}`;
}

const refusalSchema = z.object({ error: z.object({ message: z.string() }) });

/** Show to a person what a process answered that is not ready: a line, or an error as JSON. */
export function describeAnswer(text: string): string {
  return refusalSchema.safeParse(findJson(text)).data?.error.message ?? text.trim();
}

function findJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
