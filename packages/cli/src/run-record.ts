import { execFileSync } from "node:child_process";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { z } from "zod";

import type { DataDirectory } from "./data-directory.ts";
import { CommandFailure, systemCodeOf } from "./failure.ts";

const processSchema = z.object({
  pid: z.int().min(1),
  /** When it started, in the system's own words: tells it from a later one under the same id. */
  startedAt: z.string(),
});
type ProcessMark = z.infer<typeof processSchema>;

const runSchema = z.object({
  supervisor: processSchema,
  /** Where the API serves; null until it does. */
  url: z.string().nullable(),
  children: z.array(processSchema),
});
type Run = z.infer<typeof runSchema>;

/** How long a process that an earlier supervisor left behind may take to stop, ms. */
const LEFTOVER_MS = 5_000;
const LOOK_MS = 50;

/**
 * The file that says which supervisor runs on a data directory, where it serves, and which
 * processes it started: at once a lock, an address book, and a list of what to clear away when the
 * supervisor was killed.
 */
export class RunRecord {
  readonly #directory: DataDirectory;
  #run: Run;

  private constructor(directory: DataDirectory, run: Run) {
    this.#directory = directory;
    this.#run = run;
  }

  /**
   * Take the data directory for this process, ending what a killed supervisor left running.
   *
   * @throws CommandFailure when another supervisor runs on it
   */
  static async take(directory: DataDirectory): Promise<RunRecord> {
    const run: Run = { supervisor: markOf(process.pid), url: null, children: [] };
    while (!create(directory, run)) {
      const other = findRun(directory);
      if (other !== null && isRunning(other.supervisor)) throw toAlreadyRunning(directory, other);
      await clearAway(directory, other);
    }
    return new RunRecord(directory, run);
  }

  /** Note a child just started. */
  addChild(pid: number): void {
    const children = [...this.#run.children.filter(isRunning), markOf(pid)];
    this.#save({ ...this.#run, children });
  }

  /** Note where the API serves. */
  setUrl(url: string): void {
    this.#save({ ...this.#run, url });
  }

  /** Leave the data directory to others. */
  release(): void {
    rmSync(this.#directory.runPath, { force: true });
  }

  #save(run: Run): void {
    this.#run = run;
    this.#directory.explain(() => {
      // In place by one rename: a reader never sees half of it.
      const draft = `${this.#directory.runPath}.new`;
      writeFileSync(draft, JSON.stringify(run));
      renameSync(draft, this.#directory.runPath);
    });
  }
}

/** Where the Headrace on a data directory serves; null when none runs there. */
export function findLocalUrl(directory: DataDirectory): string | null {
  const run = findRun(directory);
  return run !== null && isRunning(run.supervisor) ? run.url : null;
}

function create(directory: DataDirectory, run: Run): boolean {
  return directory.explain(() => {
    try {
      writeFileSync(directory.runPath, JSON.stringify(run), { flag: "wx" });
      return true;
    } catch (error) {
      if (systemCodeOf(error) === "EEXIST") return false;
      // A full disk has room for the name but not for what the file should hold.
      rmSync(directory.runPath, { force: true });
      throw error;
    }
  });
}

function findRun(directory: DataDirectory): Run | null {
  try {
    return runSchema.parse(JSON.parse(readFileSync(directory.runPath, "utf8")));
  } catch {
    return null;
  }
}

function toAlreadyRunning(directory: DataDirectory, { supervisor, url }: Run): CommandFailure {
  const where = url === null ? "" : `, serving at ${url}`;
  return new CommandFailure(
    `Another Headrace (process ${supervisor.pid}${where}) runs on ${directory.path}.\n` +
      `Stop it with Ctrl-C in its terminal or \`kill ${supervisor.pid}\`, or start this one with another --data-dir and --port.`,
  );
}

/** End what an earlier supervisor left running, and remove its record. */
async function clearAway(directory: DataDirectory, run: Run | null): Promise<void> {
  const left = (run?.children ?? []).filter(isRunning);
  for (const mark of left) signal(mark, "SIGTERM");
  const killsAtMs = performance.now() + LEFTOVER_MS;
  while (left.some(isRunning)) {
    if (performance.now() > killsAtMs) for (const mark of left) signal(mark, "SIGKILL");
    await sleep(LOOK_MS);
  }
  rmSync(directory.runPath, { force: true });
}

function signal(mark: ProcessMark, name: NodeJS.Signals): void {
  try {
    if (isRunning(mark)) process.kill(mark.pid, name);
  } catch {
    // It ended between the look and the signal.
  }
}

function markOf(pid: number): ProcessMark {
  return { pid, startedAt: findStart(pid) ?? "" };
}

function isRunning({ pid, startedAt }: ProcessMark): boolean {
  return startedAt !== "" && findStart(pid) === startedAt;
}

/** Places in `/proc/<pid>/stat` after the name, which ends in the last bracket. See proc(5). */
const STATE_FIELD = 0;
const START_FIELD = 19;

/** When the process of that id started; null when none runs. */
function findStart(pid: number): string | null {
  try {
    if (process.platform !== "linux") {
      const args = ["-o", "lstart=", "-p", String(pid)];
      return execFileSync("ps", args, { encoding: "utf8", stdio: "pipe" }).trim();
    }
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[STATE_FIELD] === "Z" ? null : (fields[START_FIELD] ?? null);
  } catch {
    return null;
  }
}
