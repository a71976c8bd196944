import {
  batchSchemas,
  isBatchName,
  type BatchCommand,
  type BatchCommandName,
} from "./batch/batch-flags.ts";
import {
  jobSchemas,
  type CancelOptions,
  type GetOptions,
  type RetryOptions,
  type SubmitOptions,
  type WatchOptions,
} from "./job-flags.ts";
import {
  keySchemas,
  type KeyCreateOptions,
  type KeyListOptions,
  type KeyRevokeOptions,
  type KeyRotateOptions,
  type TenantListOptions,
  type TenantSetOptions,
} from "./key-flags.ts";
import { readOptions } from "./option-reading.ts";
import {
  platformSchemas,
  type DoctorOptions,
  type UpOptions,
  type UsageOptions,
} from "./platform-flags.ts";
import { UsageError } from "./usage-error.ts";
import {
  isWebhookName,
  webhookSchemas,
  type WebhookCommand,
  type WebhookCommandName,
} from "./webhook-flags.ts";

const schemas = {
  ...platformSchemas,
  ...jobSchemas,
  ...keySchemas,
  ...webhookSchemas,
  ...batchSchemas,
};

export type CommandName = keyof typeof schemas;

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
