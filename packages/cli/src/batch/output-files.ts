import { readdirSync, rmSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";

/** Where a run writes. All of it stands beside the answers, and on one disk with them. */
export class OutputFiles {
  readonly answers: string;
  /** Requests that were not answered. */
  readonly errors: string;
  /** What a run that was cut off goes on by. */
  readonly state: string;
  readonly #process: number;

  constructor(answers: string, pid: number) {
    const extension = extname(answers);
    const stem = extension === "" ? answers : answers.slice(0, -extension.length);
    this.answers = answers;
    this.errors = `${stem}.errors${extension || ".jsonl"}`;
    this.state = `${answers}.headrace.json`;
    this.#process = pid;
  }

  /** The input as it is uploaded. */
  get upload(): string {
    return this.#own("upload");
  }

  /** What becomes the file of a name, once it is whole. */
  draftOf(path: string): string {
    return `${path}.${this.#process}.new`;
  }

  /** What was downloaded of a file so far: the same for every run, so that another goes on. */
  partOf(fileId: string): string {
    return `${this.answers}.${fileId}.part`;
  }

  /** Take away what this run, and others that were killed, have left behind. */
  sweep(): void {
    const folder = dirname(this.answers);
    for (const name of readdirSync(folder)) {
      const pid = Number(/\.(\d+)\.(?:upload|new)$/.exec(name)?.[1] ?? Number.NaN);
      const isOurs = [this.answers, this.errors].some((path) =>
        name.startsWith(`${basename(path)}.`),
      );
      if (!isOurs || Number.isNaN(pid)) continue;
      if (pid === this.#process || !isRunning(pid)) rmSync(join(folder, name), { force: true });
    }
  }

  #own(kind: string): string {
    return `${this.answers}.${this.#process}.${kind}`;
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
