// @ts-check
import { existsSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { withLock } from "./lock.js";
import { folderTest } from "./stand-ins.js";

const { signal } = new AbortController();
const onWait = () => {};

folderTest("lets one in at a time", async ({ folder }) => {
  const path = join(folder, "lock");
  let inside = 0;
  let mostInside = 0;
  let waits = 0;
  const enter = () =>
    withLock(path, { signal, onWait: () => (waits += 1) }, async () => {
      inside += 1;
      mostInside = Math.max(mostInside, inside);
      await new Promise(setImmediate);
      inside -= 1;
    });

  await Promise.all([enter(), enter(), enter()]);

  expect({ mostInside, waits }).toEqual({ mostInside: 1, waits: 2 });
  expect(existsSync(path)).toBe(false);
});

folderTest("opens again when the work fails", async ({ folder }) => {
  const path = join(folder, "lock");
  const failing = withLock(path, { signal, onWait }, () => Promise.reject(new Error("no disk")));

  await expect(failing).rejects.toThrow("no disk");
  expect(existsSync(path)).toBe(false);
});

folderTest("takes over from a holder that is dead", async ({ folder }) => {
  const path = join(folder, "lock");
  // No process has this id: the largest that Linux and macOS give is smaller.
  writeFileSync(path, `${hostname()} 99999999 a`);

  await expect(withLock(path, { signal, onWait }, async () => "in")).resolves.toBe("in");
});

folderTest("takes over from a holder on another machine that fell silent", async ({ folder }) => {
  const path = join(folder, "lock");
  writeFileSync(path, "elsewhere 1 a");
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(path, longAgo, longAgo);

  await expect(withLock(path, { signal, onWait }, async () => "in")).resolves.toBe("in");
});

folderTest("stops waiting when it is told to", async ({ folder }) => {
  const path = join(folder, "lock");
  writeFileSync(path, `${hostname()} ${process.pid} a`);
  const controller = new AbortController();
  const waiting = withLock(
    path,
    { signal: controller.signal, onWait: () => controller.abort(new Error("stopped")) },
    async () => "in",
  );

  await expect(waiting).rejects.toThrow("stopped");
});
