// @ts-check
import { expect, test } from "vitest";
import { choosePnpmPackage, chooseNodePackage } from "./platform.js";
import { PINNED_INTEGRITY, findVersion, isAtLeast, majorOf } from "./versions.js";

test.for([
  { version: "7.0.0", oldest: "7.0.0", verdict: true },
  { version: "7.0.15", oldest: "7.0.0", verdict: true },
  { version: "8.0.0", oldest: "7.2.4", verdict: true },
  { version: "10.0.0", oldest: "9.9.9", verdict: true },
  { version: "6.2.14", oldest: "7.0.0", verdict: false },
  { version: "7.1.9", oldest: "7.2.0", verdict: false },
])("takes $version as at least $oldest: $verdict", ({ version, oldest, verdict }) => {
  expect(isAtLeast(version, oldest)).toBe(verdict);
});

test.for([
  { text: "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", version: "7.0.15" },
  { text: "Valkey server v=8.0.1 sha=00000000:0", version: "8.0.1" },
  { text: "v26.10.0\n", version: "26.10.0" },
  { text: "command not found", version: null },
])("reads $version in $text", ({ text, version }) => {
  expect(findVersion(text)).toBe(version);
});

test("reads the major of a version with or without a v", () => {
  expect([majorOf("v26.10.0"), majorOf("12.21.0"), majorOf("none")]).toEqual([26, 12, 0]);
});

test("pins what is fetched on Linux by digest", () => {
  const platforms = ["x64", "arm64"].map((cpu) => ({ os: "linux", cpu, isMusl: false }));
  const names = platforms.flatMap((platform) => [
    chooseNodePackage(platform).name,
    choosePnpmPackage(platform).name,
  ]);

  expect(Object.keys(PINNED_INTEGRITY)).toEqual(expect.arrayContaining(names));
});
