// @ts-check
import { defineConfig } from "vitest/config";

/** Some move as much as a large file has, on a machine that has other work. */
const TIMEOUT_MS = 60_000;

/** The tests that need a program which only `npm run test:conformance` fetches. */
// oxlint-disable-next-line import/no-default-export -- the test runner asks for it
export default defineConfig({
  test: {
    include: ["test/conformance/*.conformance.ts"],
    maxWorkers: 2,
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
  },
});
