import { parseArgs } from "node:util";
import { z } from "zod";
import { BLOCK_TOKENS } from "./block-pool.ts";
import type { EngineOptions } from "./engine.ts";
import { type Profile, type ProfileName, PROFILES } from "./profile.ts";

/** vLLM queues without bound by default; this process does not. */
const MOST_QUEUED = 100_000;

const count = z.coerce.number().int().min(1);
const profileNames = Object.keys(PROFILES);

const settingsSchema = z
  .strictObject({
    host: z.string().default("127.0.0.1"),
    port: z.coerce.number().int().min(0).max(65_535).default(8000),
    model: z.string().min(1).default("headrace-sim-8b"),
    servedModelName: z.array(z.string().min(1)).default([]),
    profile: z
      .string()
      .refine(isProfileName, { error: `must be one of ${profileNames.join(", ")}` })
      .default("fast"),
    stepMs: z.coerce.number().min(0).max(60_000).optional(),
    prefillTokensPerSecond: z.coerce.number().min(1).optional(),
    maxNumSeqs: count.optional(),
    maxNumBatchedTokens: count.optional(),
    kvBlocks: count.max(10_000_000).optional(),
    maxModelLen: count.min(2).optional(),
    maxNumQueuedReqs: count.max(MOST_QUEUED).default(MOST_QUEUED),
    maxNumQueuedTokens: count.optional(),
    schedulingPolicy: z.enum(["fcfs", "priority"]).default("fcfs"),
    enablePerRequestMetrics: z.boolean().default(false),
    startupMs: z.coerce.number().min(0).max(3_600_000).default(0),
  })
  .refine(
    ({ maxModelLen, kvBlocks }) =>
      maxModelLen === undefined || kvBlocks === undefined || maxModelLen <= kvBlocks * BLOCK_TOKENS,
    { error: `must not exceed ${BLOCK_TOKENS} × --kv-blocks`, path: ["maxModelLen"] },
  );

/** How to start an engine; every field has a default. */
export type EngineSimOptions = z.input<typeof settingsSchema>;

/** How an engine is started, defaults filled in. */
export type EngineSimSettings = z.output<typeof settingsSchema>;

/** What the command line asks for. */
export type CommandLine =
  | { readonly ask: "serve"; readonly settings: EngineSimSettings }
  | { readonly ask: "version" }
  | { readonly ask: "help" }
  /** One sentence per fault. */
  | { readonly ask: "impossible"; readonly faults: readonly string[] };

const FLAGS = {
  host: { type: "string" },
  port: { type: "string" },
  model: { type: "string" },
  "served-model-name": { type: "string", multiple: true },
  profile: { type: "string" },
  "step-ms": { type: "string" },
  "prefill-tokens-per-second": { type: "string" },
  "max-num-seqs": { type: "string" },
  "max-num-batched-tokens": { type: "string" },
  "kv-blocks": { type: "string" },
  "max-model-len": { type: "string" },
  "max-num-queued-reqs": { type: "string" },
  "max-num-queued-tokens": { type: "string" },
  "scheduling-policy": { type: "string" },
  "enable-per-request-metrics": { type: "boolean" },
  "startup-ms": { type: "string" },
  version: { type: "boolean" },
  help: { type: "boolean" },
} as const;

/** Every flag, as `--help` lists them. */
export const FLAG_NAMES: readonly string[] = Object.keys(FLAGS).map((name) => `--${name}`);

/** Understand a command line, naming every fault of a bad one. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  const { values, tokens } = parseArgs({
    args: [...argv],
    options: FLAGS,
    strict: false,
    tokens: true,
  });
  if (values.version === true) return { ask: "version" };
  if (values.help === true) return { ask: "help" };

  const unknown = tokens.flatMap((token) => {
    if (token.kind === "positional") return [`${token.value} is not a flag`];
    return token.kind === "option" && !(token.name in FLAGS) ? [`${token.rawName} is unknown`] : [];
  });
  const known = Object.entries(values).filter(([name]) => name in FLAGS);
  const parsed = settingsSchema.safeParse(
    Object.fromEntries(known.map(([name, value]) => [camelCase(name), value])),
  );
  const bad = (parsed.error?.issues ?? []).map(
    (issue) => `--${kebabCase(String(issue.path[0]))}: ${issue.message}`,
  );
  const faults = [...unknown, ...bad];
  if (!parsed.success || faults.length > 0) return { ask: "impossible", faults };
  return { ask: "serve", settings: parsed.data };
}

/** Fill in the defaults of options given in code; throws a `ZodError` for bad ones. */
export function fillSettings(options: EngineSimOptions): EngineSimSettings {
  return settingsSchema.parse(options);
}

/** Derive the engine that the settings describe: the profile, with what they override. */
export function engineOptions(settings: EngineSimSettings): EngineOptions {
  const profile: Profile = PROFILES[settings.profile];
  const kvBlocks = settings.kvBlocks ?? profile.kvBlocks;
  const maxModelLen = settings.maxModelLen ?? profile.maxModelLen;
  const prefillTokenMs =
    settings.prefillTokensPerSecond === undefined
      ? profile.times.prefillTokenMs
      : 1_000 / settings.prefillTokensPerSecond;
  return {
    times:
      settings.stepMs === undefined
        ? { ...profile.times, prefillTokenMs }
        : { weightsMs: settings.stepMs, prefillTokenMs, decodeTokenMs: 0, contextTokenMs: 0 },
    limits: {
      maxNumSeqs: settings.maxNumSeqs ?? profile.maxNumSeqs,
      maxNumBatchedTokens: settings.maxNumBatchedTokens ?? profile.maxNumBatchedTokens,
      // A sequence of full length must fit, or it could never run; the other override yields.
      kvBlocks: Math.max(
        kvBlocks,
        settings.kvBlocks === undefined ? Math.ceil(maxModelLen / BLOCK_TOKENS) : 0,
      ),
    },
    maxModelLen: Math.min(maxModelLen, kvBlocksTokens(settings.kvBlocks)),
    maxNumQueuedReqs: settings.maxNumQueuedReqs,
    maxNumQueuedTokens: settings.maxNumQueuedTokens ?? Number.POSITIVE_INFINITY,
  };
}

function kvBlocksTokens(kvBlocks: number | undefined): number {
  return kvBlocks === undefined ? Number.POSITIVE_INFINITY : kvBlocks * BLOCK_TOKENS;
}

function isProfileName(name: string): name is ProfileName {
  return name in PROFILES;
}

function camelCase(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function kebabCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
