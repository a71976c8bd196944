// @ts-check
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { envWith, folderTest, readCalls, writeProgram } from "./stand-ins.js";
import { ensureVersitygw } from "./versitygw.js";

/** What a Go does that builds something which works. */
const BUILD = 'echo built > "$GOBIN/versitygw"';

folderTest("builds the server once, in the checkout", async ({ folder }) => {
  writeProgram(folder, "go", BUILD);
  const env = envWith(folder);

  const paths = [await ensureVersitygw(folder, { env }), await ensureVersitygw(folder, { env })];

  const path = join(folder, ".runtime/versitygw-v1.7.0/versitygw");
  expect(paths).toEqual([path, path]);
  expect(readFileSync(path, "utf8")).toBe("built\n");
  expect(readCalls(folder)).toEqual([
    "go install github.com/versity/versitygw/cmd/versitygw@v1.7.0",
  ]);
});

folderTest("says that Go is missing", async ({ folder }) => {
  const env = { PATH: folder };
  const usualGo = join(folder, "none/go");

  await expect(ensureVersitygw(folder, { env, usualGo })).rejects.toThrow(
    /need Go.*no `go` on PATH or in \/usr\/local\/go\.\nInstall Go 1\.25 or newer/,
  );
});

folderTest("shows why it could not be built, and leaves nothing of it", async ({ folder }) => {
  writeProgram(folder, "go", `${BUILD}; echo 'undefined: S3'; exit 1`);

  await expect(ensureVersitygw(folder, { env: envWith(folder) })).rejects.toThrow(
    /Building versitygw failed[^]*undefined: S3/,
  );
  expect(existsSync(join(folder, ".runtime/versitygw-v1.7.0"))).toBe(false);
  expect(readdirSync(join(folder, ".runtime"))).toEqual([]);
});
