import { createHash, randomUUID } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

import { z } from "zod";

import { CommandFailure } from "../failure.ts";

/** How far a run has come. */
const progressSchema = z.object({
  version: z.literal(1),
  /** Digest of the requests and of what was asked for with them. */
  identity: z.string(),
  requests: z.int(),
  model: z.string(),
  /** Under which the batch is made: however often it is asked for, there is one. */
  idempotency_key: z.string(),
  input_file_id: z.string().nullable(),
  batch_id: z.string().nullable(),
  /** Requests without an answer, once all files are written. */
  failed: z.int().nullable(),
});
export type RunProgress = z.infer<typeof progressSchema>;

/** The file beside a run's output that it goes on by, after whatever cut it off. */
export class RunState {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** @returns null when nothing was begun @throws CommandFailure for a file that is something else */
  find(): RunProgress | null {
    const text = readIfThere(this.#path);
    if (text === null) return null;
    try {
      return progressSchema.parse(JSON.parse(text));
    } catch (cause) {
      throw new CommandFailure(
        `${this.#path} is not what a run of this version leaves behind. Remove it, or run with --overwrite.`,
        { cause },
      );
    }
  }

  /** Write down how far the run has come. By one rename: a reader never sees half of it. */
  save(progress: RunProgress): void {
    const draft = `${this.#path}.new`;
    writeFileSync(draft, `${JSON.stringify(progress, null, 2)}\n`, { flush: true });
    renameSync(draft, this.#path);
  }

  forget(): void {
    rmSync(this.#path, { force: true });
  }
}

/** What of a run makes it the same one when it is begun again. */
export interface RunIdentity {
  /** Of the requests. */
  readonly digest: string;
  readonly completionWindow: string;
  readonly metadata: Readonly<Record<string, string>> | undefined;
}

/** Begin a run. */
export function beginRun(
  identity: RunIdentity,
  { requests, model }: Pick<RunProgress, "requests" | "model">,
): RunProgress {
  return {
    version: 1,
    identity: identify(identity),
    requests,
    model,
    idempotency_key: randomUUID(),
    input_file_id: null,
    batch_id: null,
    failed: null,
  };
}

/** Write in a few characters what tells one run from another. */
export function identify({ digest, completionWindow, metadata = {} }: RunIdentity): string {
  const parts = [
    digest,
    completionWindow,
    Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
