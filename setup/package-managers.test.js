// @ts-check
import { expect, test } from "vitest";
import { findManager, planInstall } from "./package-managers.js";
import { folderTest, writeProgram } from "./stand-ins.js";

const root = { isRoot: true, hasSystemd: false, hasLists: true };

/** @param {import("./package-managers.js").Plan} plan */
const attemptsOf = (plan) =>
  plan.attempts.map((attempt) => attempt.map((command) => command.join(" ")));

folderTest("finds the package manager on PATH", ({ folder }) => {
  writeProgram(folder, "pacman");

  expect(findManager({ PATH: folder })).toBe("pacman");
  expect(findManager({ PATH: "" })).toBeNull();
});

test.for(
  /** @type {const} */ ([
    ["dnf", [["dnf install -y valkey"], ["dnf install -y redis"]]],
    ["apk", [["apk add --no-cache redis"], ["apk add --no-cache valkey"]]],
    ["pacman", [["pacman -S --noconfirm --needed valkey"]]],
    ["brew", [["brew install redis"]]],
  ]),
)("installs with %s", ([manager, attempts]) => {
  expect(attemptsOf(planInstall(manager, root))).toEqual(attempts);
});

test("updates apt-get's lists first when there are none, and else only when they are too old", () => {
  const without = attemptsOf(planInstall("apt-get", { ...root, hasLists: false }));
  const withLists = attemptsOf(planInstall("apt-get", root));

  const [update, install] = [/ update$/, / install -y .*redis-server$/].map((end) =>
    expect.stringMatching(end),
  );
  expect(without).toEqual([[update, install]]);
  expect(withLists).toEqual([[install], [update, install]]);
});

test("keeps Debian's own service from starting, now and at the next boot", () => {
  const plan = planInstall("apt-get", { ...root, hasSystemd: true });

  expect(plan.before).toEqual([["systemctl", "mask", "--runtime", "redis-server.service"]]);
  expect(plan.after).toEqual([
    ["systemctl", "unmask", "--runtime", "redis-server.service"],
    ["systemctl", "disable", "redis-server.service"],
  ]);
  expect(attemptsOf(plan)[0]?.[0]).toContain("RUNLEVEL=1");
});

test("touches no service where systemd does not run", () => {
  expect(planInstall("apt-get", root)).toMatchObject({ before: [], after: [] });
});

test("tells a user who is not root to use sudo, but never with brew", () => {
  const user = { ...root, isRoot: false };

  expect(planInstall("apt-get", root).typed).toBe(
    "apt-get update && apt-get install -y redis-server",
  );
  expect(planInstall("apt-get", user)).toMatchObject({
    needsSudo: true,
    typed: "sudo apt-get update && sudo apt-get install -y redis-server",
  });
  expect(planInstall("brew", user)).toMatchObject({
    needsSudo: false,
    typed: "brew install redis",
  });
});
