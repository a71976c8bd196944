import { HeadraceError } from "@headrace/client";

/** What a shell expects of a command that Ctrl-C ended. */
export const INTERRUPTED = 130;

/** A failure that its user can act on: the message is all they need to read. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: number;

  constructor(message: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? 1;
  }
}

/** What to do about the API's refusals, by code. */
const ADVICE: Readonly<Record<string, string>> = {
  connection_failed: "Start Headrace with `npm start`, or say where it serves with --url.",
  connection_timeout: "The server is there but does not answer: look at its log.",
  api_key_invalid: "Set HEADRACE_API_KEY to a key of this server.",
  scope_missing: "Use a key that may: `headrace keys list` shows what each may do.",
  key_not_found: "Check the id: `headrace keys list --all` shows what there is.",
  batch_not_found: "Check the id: `headrace batch list` shows those there are.",
  webhook_endpoint_not_found: "Check the id: `headrace webhooks list` shows those there are.",
  webhook_delivery_not_found: "Check the id: `headrace webhooks log` shows those there are.",
  webhook_secret_missing: "Make one first: `headrace webhooks secret`.",
  job_not_found: "Check the id. Jobs are forgotten 24 h after their end unless told otherwise.",
  queue_full: "Nothing was accepted. Redis is nearly full: `headrace doctor` tells more.",
  queue_unavailable: "The queue's Redis, or the replica it needs, is away: try again in a moment.",
};

/** Say what the API refused, and what to do about it. */
export function describeApiError(error: HeadraceError): string {
  const where = error.param === null ? "" : ` (${error.param})`;
  const advice = ADVICE[error.code] ?? adviceByStatus(error);
  const request = error.requestId === null ? "" : `\nRequest id: ${error.requestId}`;
  return `${error.message}${where}${advice === null ? "" : `\n${advice}`}${request}`;
}

function adviceByStatus({ status, retryAfterMs }: HeadraceError): string | null {
  if (status === 429) {
    return `Nothing was accepted. Try again in ${Math.ceil((retryAfterMs ?? 1_000) / 1_000)} s.`;
  }
  return status !== null && status >= 500 ? "Try again in a moment." : null;
}

/** The code of a system error such as ENOSPC; null for any other. */
export function systemCodeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : null;
}

/** How Redis, Node and the system say that a disk is full. */
const DISK_FULL = /ENOSPC|no space left|MISCONF|disk quota exceeded/i;

/** Whether a text of any program tells of a full disk. */
export function tellsOfFullDisk(text: string): boolean {
  return DISK_FULL.test(text);
}
