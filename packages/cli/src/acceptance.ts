import { randomUUID } from "node:crypto";

import { HeadraceError } from "@headrace/client";
import type { Job } from "@headrace/contract";

import { CommandFailure, describeApiError, INTERRUPTED } from "./failure.ts";
import { paint, type Terminal } from "./terminal.ts";

/** How a job is asked for, so that asking again can be told apart from asking for another. */
export interface Request {
  /** The command that asks: `submit`. */
  readonly command: string;
  /** The key of an earlier request that this one repeats. */
  readonly key: string | undefined;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * Ask for a job under one key.
 *
 * @throws CommandFailure with the key, where the job may have been accepted although no answer says
 *   so; HeadraceError where it was not
 */
export async function requestOnce(
  { command, key = randomUUID(), terminal, signal }: Request,
  ask: (idempotencyKey: string) => Promise<Job>,
): Promise<Job> {
  try {
    return await ask(key);
  } catch (error) {
    const failure = signal.aborted
      ? { said: "Stopped before an answer came.", exitCode: INTERRUPTED }
      : { said: describeOpen(error), exitCode: 1 };
    if (failure.said === null) throw error;
    const again = `${terminal.command} ${command} ${terminal.flags}--idempotency-key ${key} …`;
    throw new CommandFailure(
      `${failure.said}
The job may have been accepted all the same. Repeat the command with this key, and it runs once:
  ${paint(terminal.err, "bold", again)}`,
      { cause: error, exitCode: failure.exitCode },
    );
  }
}

/**
 * Say what went wrong where a job may have been accepted: by a server that did not answer, or could
 * not confirm it. Null where it was not.
 */
function describeOpen(error: unknown): string | null {
  if (!(error instanceof HeadraceError)) return null;
  const { status, code } = error;
  const isOpen = code !== "queue_full" && (status === null || status < 400 || status >= 500);
  return isOpen ? describeApiError(error) : null;
}
