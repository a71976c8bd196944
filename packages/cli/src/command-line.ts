import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

import {
  daySchema,
  endpointSchema,
  prioritySchema,
  PRIORITIES,
  USAGE_GROUPS,
  webhookUrlSchema,
} from "@headrace/contract";
import { z } from "zod";

import {
  batchSchemas,
  isBatchName,
  type BatchCommand,
  type BatchCommandName,
} from "./batch/batch-flags.ts";
import { connectionFlags, durationWithin, jsonFlag, numberWithin } from "./flags.ts";
import {
  keySchemas,
  type KeyCreateOptions,
  type KeyListOptions,
  type KeyRevokeOptions,
  type KeyRotateOptions,
  type TenantListOptions,
  type TenantSetOptions,
} from "./key-flags.ts";
import {
  isWebhookName,
  webhookSchemas,
  type WebhookCommand,
  type WebhookCommandName,
} from "./webhook-flags.ts";

/** A command line that cannot be understood. The message says what was wrong with it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** The command it was about, or the first word of several. */
  readonly command: string | null;

  constructor(message: string, command: string | null) {
    super(message);
    this.command = command;
  }
}

const MAX_PORT = 65_535;
/** More workers than this on one machine is a typing error. */
const MAX_WORKERS = 64;
const DEFAULT_PORT = 8_080;
/** As the API bounds it. */
const LONGEST_DEADLINE_SECONDS = 7 * 24 * 3_600;

/** `chat` and the like stand for the endpoint they end. */
const ENDPOINTS: Readonly<Record<string, string>> = {
  chat: "/v1/chat/completions",
  completions: "/v1/completions",
  embeddings: "/v1/embeddings",
};

const port = numberWithin(0, MAX_PORT, `expected a port, 0 to ${MAX_PORT}`);
const ownPort = numberWithin(1, MAX_PORT, `expected a port, 1 to ${MAX_PORT}`);
const workers = numberWithin(1, MAX_WORKERS, `expected a whole number, 1 to ${MAX_WORKERS}`);
const maxTokens = numberWithin(1, Number.MAX_SAFE_INTEGER, "expected a whole number, 1 or more");
const jobId = z.string().regex(/^job_\w+$/, "expected an id as `submit` prints it: job_…");
const connection = connectionFlags;
const json = jsonFlag;
const idempotency = {
  "idempotency-key": z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, "expected 1 to 255 ASCII characters, none of them a space")
    .optional(),
};

const schemas = {
  up: z.strictObject({
    port: port.default(DEFAULT_PORT),
    host: z.string().min(1).default("127.0.0.1"),
    "data-dir": connection["data-dir"],
    workers: workers.default(1),
    "engine-url": z
      .url({ protocol: /^https?$/, error: "expected http://host:port" })
      .transform((url) => url.replace(/\/(v1\/?)?$/, ""))
      .optional(),
    "redis-url": z.url({ protocol: /^rediss?$/, error: "expected redis://host:port" }).optional(),
    "redis-port": ownPort.optional(),
    once: z.boolean().default(false),
    verbose: z.boolean().default(false),
  }),
  submit: z.strictObject({
    ...connection,
    ...json,
    ...idempotency,
    positionals: z.tuple([z.string().min(1, "expected a prompt")], "expected one prompt"),
    model: z.string().min(1).optional(),
    endpoint: z
      .string()
      .default("chat")
      .transform((name) => ENDPOINTS[name] ?? name)
      .pipe(z.enum(endpointSchema.options, "expected chat, completions or embeddings")),
    "max-tokens": maxTokens.optional(),
    priority: z.enum(prioritySchema.options, `expected ${PRIORITIES.join(", ")}`).optional(),
    deadline: durationWithin(
      1,
      LONGEST_DEADLINE_SECONDS,
      "expected a time such as 30s, 5m or 2h, from a second to 7 days",
    ).optional(),
    webhook: webhookUrlSchema.optional(),
    detach: z.boolean().default(false),
  }),
  watch: z.strictObject({ ...connection, positionals: z.tuple([jobId], "expected one job id") }),
  get: z.strictObject({
    ...connection,
    ...json,
    timeline: z.boolean().default(false),
    positionals: z.tuple([jobId], "expected one job id"),
  }),
  cancel: z.strictObject({
    ...connection,
    ...json,
    positionals: z.tuple([jobId], "expected one job id"),
  }),
  retry: z.strictObject({
    ...connection,
    ...json,
    ...idempotency,
    positionals: z.tuple([jobId], "expected one job id"),
    detach: z.boolean().default(false),
  }),
  doctor: z.strictObject({ ...connection, ...json }),
  usage: z.strictObject({
    ...connection,
    ...json,
    from: daySchema.optional(),
    to: daySchema.optional(),
    by: z
      .string()
      .default(USAGE_GROUPS.join(","))
      .transform((text) => text.split(","))
      .pipe(z.array(z.enum(USAGE_GROUPS, `expected some of ${USAGE_GROUPS.join(",")}`))),
    tenant: z.string().min(1).optional(),
  }),
  ...keySchemas,
  ...webhookSchemas,
  ...batchSchemas,
};

export type CommandName = keyof typeof schemas;
export type UpOptions = z.infer<typeof schemas.up>;
export type SubmitOptions = z.infer<typeof schemas.submit>;
export type WatchOptions = z.infer<typeof schemas.watch>;
export type GetOptions = z.infer<typeof schemas.get>;
export type CancelOptions = z.infer<typeof schemas.cancel>;
export type DoctorOptions = z.infer<typeof schemas.doctor>;
export type UsageOptions = z.infer<typeof schemas.usage>;
export type RetryOptions = z.infer<typeof schemas.retry>;

/** What a command line asks for. */
export type Command =
  /** Of a command, of those that begin with a word, or of all. */
  | { readonly name: "help"; readonly of: string | null }
  | { readonly name: "version" }
  | { readonly name: "up"; readonly options: UpOptions }
  | { readonly name: "submit"; readonly options: SubmitOptions }
  | { readonly name: "watch"; readonly options: WatchOptions }
  | { readonly name: "get"; readonly options: GetOptions }
  | { readonly name: "cancel"; readonly options: CancelOptions }
  | { readonly name: "retry"; readonly options: RetryOptions }
  | { readonly name: "usage"; readonly options: UsageOptions }
  | { readonly name: "doctor"; readonly options: DoctorOptions }
  | { readonly name: "keys create"; readonly options: KeyCreateOptions }
  | { readonly name: "keys list"; readonly options: KeyListOptions }
  | { readonly name: "keys rotate"; readonly options: KeyRotateOptions }
  | { readonly name: "keys revoke"; readonly options: KeyRevokeOptions }
  | { readonly name: "tenants list"; readonly options: TenantListOptions }
  | { readonly name: "tenants set"; readonly options: TenantSetOptions }
  | WebhookCommand
  | BatchCommand;

/** Understand a command line. @throws UsageError */
export function readCommandLine(argv: readonly string[]): Command {
  const [first, second] = argv;
  if (first === "--version" || first === "-v") return { name: "version" };
  if (first === undefined || first === "--help" || first === "-h")
    return { name: "help", of: null };
  if (first === "help") return { name: "help", of: findTopic(argv.slice(1)) };
  const { name, rest } = findCommand(argv) ?? {};
  if (name === undefined || rest === undefined) {
    const seconds = secondsOf(first);
    if (seconds.length === 0) throw new UsageError(`there is no command ${quoted(first)}`, null);
    if (asksForHelp(argv)) return { name: "help", of: first };
    const found = second === undefined ? "" : `, found ${quoted(second)}`;
    throw new UsageError(`${first}: expected ${seconds.join(", ")}${found}`, first);
  }
  if (asksForHelp(rest)) return { name: "help", of: name };
  if (isWebhookName(name)) return readWebhookCommand(name, rest);
  if (isBatchName(name)) return readBatchCommand(name, rest);
  switch (name) {
    case "up":
      return { name, options: readOptions(name, schemas.up, rest) };
    case "submit":
      return { name, options: readOptions(name, schemas.submit, rest) };
    case "watch":
      return { name, options: readOptions(name, schemas.watch, rest) };
    case "get":
      return { name, options: readOptions(name, schemas.get, rest) };
    case "cancel":
      return { name, options: readOptions(name, schemas.cancel, rest) };
    case "retry":
      return { name, options: readOptions(name, schemas.retry, rest) };
    case "usage":
      return { name, options: readOptions(name, schemas.usage, rest) };
    case "doctor":
      return { name, options: readOptions(name, schemas.doctor, rest) };
    case "keys create":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "keys list":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "keys rotate":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "keys revoke":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "tenants list":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "tenants set":
      return { name, options: readOptions(name, schemas[name], rest) };
  }
}

function readWebhookCommand(name: WebhookCommandName, rest: readonly string[]): WebhookCommand {
  switch (name) {
    case "webhooks listen":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "webhooks list":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "webhooks create":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "webhooks enable":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "webhooks delete":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "webhooks rotate":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "webhooks secret":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "webhooks log":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "webhooks replay":
      return { name, options: readOptions(name, schemas[name], rest) };
  }
}

function readBatchCommand(name: BatchCommandName, rest: readonly string[]): BatchCommand {
  switch (name) {
    case "batch run":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "batch status":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "batch results":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "batch cancel":
      return { name, options: readOptions(name, schemas[name], rest) };
    case "batch list":
      return { name, options: readOptions(name, schemas[name], rest) };
  }
}

/** A command's name is one word or two: `keys create`. */
function findCommand(
  argv: readonly string[],
): { readonly name: CommandName; readonly rest: readonly string[] } | null {
  for (const words of [2, 1]) {
    const name = argv.slice(0, words).join(" ");
    if (isCommandName(name)) return { name, rest: argv.slice(words) };
  }
  return null;
}

/** What help is wanted of: a command, or the first word of several. */
function findTopic([first, ...rest]: readonly string[]): string | null {
  if (first === undefined) return null;
  return findCommand([first, ...rest])?.name ?? (secondsOf(first).length > 0 ? first : null);
}

/** What may follow the first word of a command of two. */
function secondsOf(first: string): string[] {
  return Object.keys(schemas)
    .filter((name) => name.startsWith(`${first} `))
    .map((name) => name.slice(first.length + 1));
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function isCommandName(text: string): text is CommandName {
  return Object.hasOwn(schemas, text);
}

/** Help is given also where the rest of the line makes no sense. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const flags = end === -1 ? args : args.slice(0, end);
  return flags.includes("--help") || flags.includes("-h");
}

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

function readOptions<Shape extends z.ZodRawShape>(
  name: CommandName,
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
  name: CommandName,
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
