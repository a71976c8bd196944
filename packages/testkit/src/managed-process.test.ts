import { spawnSync } from "node:child_process";

import { afterEach, describe, expect, test } from "vitest";

import { ManagedProcess } from "./managed-process.ts";

const started: ManagedProcess[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((process) => process.kill()));
});

/** Counts aloud, and says goodbye when it is told to stop. */
const COUNTER = `
  let count = 0;
  setInterval(() => console.log(++count), 5);
  process.on("SIGTERM", () => { console.log("goodbye"); process.exit(3); });
`;

async function start(program: string): Promise<ManagedProcess> {
  const managed = new ManagedProcess({
    name: "counter",
    args: ["--eval", program],
    environment: { LANG: "C" },
  });
  started.push(managed);
  await whenSaid(managed);
  return managed;
}

async function whenSaid(managed: ManagedProcess): Promise<void> {
  const before = managed.lines.length;
  await expect.poll(() => managed.lines.length, { interval: 5 }).toBeGreaterThan(before);
}

describe("ManagedProcess", () => {
  test("is killed without a word, and starts again as it was", async () => {
    const counter = await start(COUNTER);
    const { pid } = counter;

    await counter.kill();
    const end = counter.findEnd();
    counter.restart();
    await whenSaid(counter);

    expect(end).toContain("counter ended with SIGKILL");
    expect(counter.lines).not.toContain("goodbye");
    expect(counter.hasExited).toBe(false);
    expect(counter.pid).not.toBe(pid);
    expect(() => counter.restart()).toThrow("runs already");
  });

  test("stands still while it is paused, and goes on where it was", async () => {
    const counter = await start(COUNTER);
    counter.pause();
    // What it wrote before is still on its way.
    await expect.poll(async () => isSilentFor(counter, 50)).toBe(true);
    const last = Number(counter.lines.at(-1));

    const stoodStill = await isSilentFor(counter, 100);
    counter.resume();
    await whenSaid(counter);

    expect(stoodStill).toBe(true);
    expect(counter.lines).toContain(String(last + 1));
  });

  test("may say goodbye when it is told to stop, even if it was paused", async () => {
    const counter = await start(COUNTER);
    counter.pause();

    expect(await counter.stop()).toBe(3);
    expect(counter.lines.at(-1)).toBe("goodbye");
    expect(await counter.stop()).toBe(3);
  });

  test("is ready once it answers, and says its last words when it never will", async () => {
    const server = await start(`
      const server = require("node:http").createServer((_request, response) => response.end());
      server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    `);
    const url = `http://127.0.0.1:${server.lines[0]}`;
    const dead = await start("console.log('no luck'); process.exit(1)");
    const options = { name: "asker", args: ["--eval", ""], environment: {} };
    const asker = new ManagedProcess({ ...options, url });
    started.push(asker);

    await expect(asker.whenReady("/")).resolves.toBeUndefined();
    await dead.kill();
    await expect(dead.whenReady("/")).rejects.toThrow("counter is not ready:\nno luck");
  });

  test("has no more environment than it is given", async () => {
    const asked = await start(`
      console.log(require("node:child_process").execFileSync("/usr/bin/env").toString());
    `);

    expect(asked.lines).toEqual(["LANG=C"]);
  });

  test("ends with the process that made it", async () => {
    const module = new URL("managed-process.ts", import.meta.url);
    const parent = await start(`
      const { ManagedProcess } = await import(${JSON.stringify(module.href)});
      const child = new ManagedProcess({
        name: "child", args: ["--eval", "setInterval(() => {}, 1000)"], environment: {},
      });
      console.log(child.pid);
      process.exit();
    `);
    const pid = Number(parent.lines[0]);

    await expect.poll(() => isAlive(pid)).toBe(false);
  });
});

async function isSilentFor(managed: ManagedProcess, ms: number): Promise<boolean> {
  const before = managed.lines.length;
  await new Promise((resolve) => setTimeout(resolve, ms));
  return managed.lines.length === before;
}

/** A process that has ended is a zombie until whoever adopted it looks: to signals it still exists. */
function isAlive(pid: number): boolean {
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
  return stdout.trim() !== "" && !stdout.startsWith("Z");
}
