import { randomUUID } from "node:crypto";

import { HeadraceError } from "@headrace/client";
import type { Job } from "@headrace/contract";

import { CommandFailure, describeApiError } from "./failure.ts";
import { paint, type Terminal } from "./terminal.ts";

/** How a job is asked for, so that asking again can be told apart from asking for another. */
export interface Request {
  /** The command that asks: `submit`. */
  readonly command: string;
  /** The key of an earlier request that this one repeats. */
  readonly key: string | undefined;
  readonly terminal: Terminal;
}

/**
 * Ask for a job under one key.
 *
 * @throws CommandFailure with the key, where the job may have been accepted although no answer says
 *   so; HeadraceError where it was not
 */
export async function requestOnce(
  { command, key = randomUUID(), terminal }: Request,
  ask: (idempotencyKey: string) => Promise<Job>,
): Promise<Job> {
  try {
    return await ask(key);
  } catch (error) {
    if (!(error instanceof HeadraceError) || !leavesOpen(error)) throw error;
    const again = `${terminal.command} ${command} ${terminal.flags}--idempotency-key ${key} …`;
    throw new CommandFailure(
      `${describeApiError(error)}
The job may have been accepted all the same. Repeat the command with this key, and it runs once:
  ${paint(terminal.err, "bold", again)}`,
      { cause: error },
    );
  }
}

/** Whether a job may have been accepted by a server that did not answer, or could not confirm it. */
function leavesOpen({ status, code }: HeadraceError): boolean {
  return code !== "queue_full" && (status === null || status < 400 || status >= 500);
}
