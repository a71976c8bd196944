import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, test as plainTest } from "vitest";

const PROGRAM = fileURLToPath(new URL("main.ts", import.meta.url));
const TEST_MS = 60_000;
/** Far longer than a command takes that only says why it cannot start. */
const START_MS = 10_000;

/** `headrace` as a user runs it, in a folder of the test's own. */
class Command {
  readonly #process: ChildProcess;
  readonly ended: Promise<unknown[]>;
  out = "";
  err = "";

  /** Arguments such as NAME=value, before any other, are added to its environment. */
  constructor(folder: string, args: readonly string[]) {
    const program = [process.execPath, PROGRAM, ...args.filter((arg) => !isSetting(arg))];
    const line = [...args.filter(isSetting), ...program];
    this.#process = spawn("env", line, { cwd: folder, stdio: "pipe" });
    this.ended = once(this.#process, "close");
    this.#process.stdout?.on("data", (chunk: Buffer) => (this.out += chunk.toString()));
    this.#process.stderr?.on("data", (chunk: Buffer) => (this.err += chunk.toString()));
  }

  async exitCode(): Promise<unknown> {
    const [code] = await this.ended;
    return code;
  }

  /** Resolve once it has said something on its standard error. */
  async says(words: RegExp): Promise<void> {
    while (!words.test(this.err)) {
      const { stderr } = this.#process;
      if (stderr === null) throw new TypeError("no standard error");
      const gone = this.ended.then(() => "gone");
      const heard = once(stderr, "data").then(() => "heard");
      if ((await Promise.race([gone, heard])) === "gone") throw new Error(`it said:\n${this.err}`);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }
}

const isSetting = (arg: string): boolean => /^[A-Z_]+=/.test(arg);

const test = plainTest
  .extend("folder", async ({}, { onCleanup }) => {
    const folder = mkdtempSync(join(tmpdir(), "headrace-up-"));
    onCleanup(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  })
  .extend("headrace", async ({ folder }, { onCleanup }) => {
    const commands: Command[] = [];
    onCleanup(async () => {
      for (const command of commands) command.signal("SIGTERM");
      await Promise.all(commands.map((command) => command.ended));
    });
    return (...args: string[]): Command => {
      const command = new Command(folder, args);
      commands.push(command);
      return command;
    };
  });

const readRun = (folder: string): { url: string; children: { pid: number }[] } =>
  JSON.parse(readFileSync(join(folder, ".data/run.json"), "utf8"));

/** Submit a job that takes seconds: time to cancel it. @returns its id */
async function submitLong(folder: string): Promise<string> {
  const request = {
    model: "headrace-sim-8b",
    messages: [{ role: "user", content: "Take your time" }],
    max_tokens: 1_000,
    ignore_eos: true,
  };
  const answer = await fetch(`${readRun(folder).url}/v1/jobs`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${readFileSync(join(folder, ".data/api-key"), "utf8").trim()}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ endpoint: "/v1/chat/completions", request }),
  });
  const job: { id: string } = JSON.parse(await answer.text());
  return job.id;
}

/** A process that has ended is a zombie until whoever adopted it looks: to signals it still exists. */
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    const stat = process.platform === "linux" ? readFileSync(`/proc/${pid}/stat`, "utf8") : "";
    return !/\) Z /.test(stat);
  } catch {
    return false;
  }
};

describe("headrace up", { timeout: TEST_MS }, () => {
  test("runs a first job through everything, shows where its time went, and leaves nothing", async ({
    folder,
    headrace,
  }) => {
    const up = headrace("up", "--once", "--port", "0");
    await up.says(/a first job/);
    const { children } = readRun(folder);

    expect(await up.exitCode()).toBe(0);
    expect(up.out.split(" ").length).toBeGreaterThan(10);
    expect(up.err).toMatch(/completed job_/);
    expect(up.err).toMatch(/decode .*s .*% .*█/);
    expect(children).toHaveLength(6);
    expect(children.filter(({ pid }) => isAlive(pid))).toEqual([]);
    expect(statSync(join(folder, ".data/api-key")).mode & 0o777).toBe(0o600);
  });

  test("serves the other commands, survives its own death, and stops when told", async ({
    folder,
    headrace,
  }) => {
    const first = headrace("up", "--port", "0");
    await first.says(/stops everything/);
    const submit = headrace("submit", "What is water?", "--max-tokens", "30", "--detach");
    await submit.ended;
    const id = submit.out.trim();
    const watch = headrace("watch", id);

    expect(await watch.exitCode()).toBe(0);
    expect(watch.err).toContain("30 out");
    const { children } = readRun(folder);
    first.signal("SIGKILL");
    await first.ended;

    const second = headrace("up", "--port", "0");
    await second.says(/stops everything/);
    expect(children.filter(({ pid }) => isAlive(pid))).toEqual([]);
    const get = headrace("get", id, "--json");
    await get.ended;
    expect(JSON.parse(get.out)).toMatchObject({ id, status: "completed" });
    const doctor = headrace("doctor");
    expect(await doctor.exitCode()).toBe(0);
    expect(doctor.out).toContain("All is well.");
    const later = readRun(folder).children;
    second.signal("SIGINT");

    expect(await second.exitCode()).toBe(0);
    expect(later.filter(({ pid }) => isAlive(pid))).toEqual([]);
  });

  test("runs an ended job again, and tells what happened to it", async ({ folder, headrace }) => {
    const up = headrace("up", "--port", "0");
    await up.says(/stops everything/);
    const id = await submitLong(folder);
    const cancel = headrace("cancel", id);
    await cancel.ended;
    const retry = headrace("retry", id);
    await retry.says(/ runs /);
    const [, again = ""] = /· (job_\w+) runs/.exec(retry.err) ?? [];
    const retryCode = await retry.exitCode();
    const refused = headrace("retry", again);
    const timeline = headrace("get", "--timeline", id);
    const json = headrace("get", "--timeline", again, "--json");
    await Promise.all([refused.ended, timeline.ended, json.ended]);

    expect(cancel.out).toBe(`${id} is cancelled\n`);
    expect(retryCode).toBe(0);
    expect(retry.err).toContain(`${again} runs ${id} again`);
    expect(retry.err).toContain(`completed ${again}`);
    expect(await refused.exitCode()).toBe(1);
    expect(refused.err).toContain(`${again} is completed`);
    expect(timeline.out).toMatch(/accepted\n[^]*cancelled\n/);
    expect(JSON.parse(json.out)).toMatchObject({ job: again, attempts: [{ end: "completed" }] });
  });

  test("has Redis sync before each answer where that is asked for", async ({ headrace }) => {
    // The ingress would not start beside a Redis that does not.
    const up = headrace("HEADRACE_DURABILITY=redis-always", "up", "--once", "--port", "0");

    expect(await up.exitCode()).toBe(0);
    expect(up.err).toMatch(/completed job_/);
  });

  test("starts no Redis of its own where a replica is asked for", async ({ headrace }) => {
    const up = headrace("HEADRACE_DURABILITY=replicated", "up", "--port", "0");
    const odd = headrace("HEADRACE_DURABILITY=maybe", "up", "--port", "0");

    expect(await up.exitCode()).toBe(1);
    expect(up.err).toContain("has no replica.\nName one that has: --redis-url");
    expect(await odd.exitCode()).toBe(2);
    expect(odd.err).toContain("HEADRACE_DURABILITY");
  });

  test("names the port that is taken, and a flag to choose another", async ({ headrace }) => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const up = headrace("up", "--port", String(port));

    expect(await up.exitCode()).toBe(1);
    expect(up.err).toContain(`Port ${port} of 127.0.0.1 is taken`);
    expect(up.err).toContain(`--port ${port + 1}`);
    server.close();
  });

  test.skipIf(!existsSync("/proc/self")).for(["/proc/headrace", "/proc/headrace/deep/down"])(
    "says at once that %s cannot be",
    (path) => {
      const { status, stderr } = spawnSync(
        process.execPath,
        [PROGRAM, "up", "--port", "0", "--data-dir", path],
        // What loops without a pause hears no other signal.
        { encoding: "utf8", timeout: START_MS, killSignal: "SIGKILL" },
      );

      expect(stderr).toBe(
        `✗ ${path} cannot be used: no folder can be made there. Name another folder with --data-dir.\n`,
      );
      expect(status).toBe(1);
    },
  );

  test("says which part failed, in its own words, and stops the others", async ({
    folder,
    headrace,
  }) => {
    mkdirSync(join(folder, ".data/redis/appendonlydir"), { recursive: true });
    writeFileSync(join(folder, ".data/redis/appendonlydir/appendonly.aof.manifest"), "nonsense\n");
    const up = headrace("up", "--port", "0");

    expect(await up.exitCode()).toBe(1);
    expect(up.err).toMatch(/redis ended with exit code 1/);
    expect(up.err).toMatch(/manifest/);
  });
});

describe("headrace", { timeout: TEST_MS }, () => {
  test("exits with 2 on bad usage, and says how it is meant", async ({ headrace }) => {
    const submit = headrace("submit");

    expect(await submit.exitCode()).toBe(2);
    expect(submit.err).toBe('✗ expected one prompt\nusage: headrace submit [flags] "prompt" | -\n');
  });

  test("finds nobody to ask where nothing runs", async ({ headrace }) => {
    const doctor = headrace("doctor", "--url", "http://127.0.0.1:1");

    expect(await doctor.exitCode()).toBe(1);
    expect(doctor.err).toContain(
      "Nobody answers at http://127.0.0.1:1.\n`headrace up` may not be running",
    );
  });

  test("says what to do where there is no key", async ({ headrace }) => {
    const get = headrace("get", "job_abcd_1");

    expect(await get.exitCode()).toBe(1);
    expect(get.err).toContain("Set HEADRACE_API_KEY");
  });
});
