// @ts-check
import { spawnSync } from "node:child_process";
import { cpSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, vi } from "vitest";
import { chooseNodePackage, readPlatform } from "./platform.js";
import { setUp } from "./set-up.js";
import { envWith, folderTest as base, readCalls, writeFiles, writeProgram } from "./stand-ins.js";
import { NODE_VERSION } from "./versions.js";

/** Says what it was started with, and ends with a code of its own. */
const PROGRAM = `
  const { title, argv } = process;
  console.log(JSON.stringify({ title, folder: process.cwd(), args: argv.slice(2) }));
  process.exitCode = 7;`;

/** A checkout in a folder with a space in its name, where pnpm need not be fetched. */
const folderTest = base.extend("root", ({ folder }) => {
  const root = join(folder, "a checkout");
  writeFiles(root, {
    "package.json": '{"type":"module"}',
    "pnpm-lock.yaml": "",
    "pnpm-workspace.yaml": "packages:\n  - packages/*\n",
    "packages/cli/package.json": '{"type":"module","dependencies":{"b":"1"}}',
    "packages/cli/src/main.ts": PROGRAM,
  });
  const repository = join(import.meta.dirname, "..");
  for (const name of ["headrace", "setup"]) {
    cpSync(join(repository, name), join(root, name), { recursive: true });
  }
  writeProgram(
    folder,
    "pnpm",
    `case "$*" in
      --version) echo 12.0.0 ;;
      *) mkdir -p node_modules packages/cli/node_modules && touch node_modules/.modules.yaml ;;
    esac`,
  );
  return root;
});

/**
 * Make the machine's Node say it is of a version, and note that it was called.
 *
 * @param {string} folder
 * @param {string} version
 */
function pretendNode(folder, version) {
  const disguise = `Object.defineProperty(process.versions, "node", { value: "${version}" })`;
  const url = `data:text/javascript,${encodeURIComponent(disguise)}`;
  writeProgram(folder, "node", `exec "${process.execPath}" --title=own --import '${url}' "$@"`);
}

/**
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 */
async function prepare(root, env) {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  await setUp(root, { env, needsRedis: false });
  write.mockRestore();
}

/**
 * @param {string} launcher
 * @param {string} folder
 */
const launchIn = (launcher, folder) =>
  spawnSync(launcher, ["submit", "two words", "--", "-x"], {
    cwd: folder,
    env: envWith(folder),
    encoding: "utf8",
  });

folderTest(
  "runs from any folder, through a link, with what it was given",
  async ({ folder, root }) => {
    await prepare(root, envWith(folder));
    pretendNode(folder, "30.0.0");
    symlinkSync(join(root, "headrace"), join(folder, "link"));
    const { status, stdout, stderr } = launchIn("./link", folder);

    expect(JSON.parse(stdout)).toMatchObject({ folder, args: ["submit", "two words", "--", "-x"] });
    expect({ status, stderr }).toEqual({ status: 7, stderr: "" });
    expect(readCalls(folder).filter((call) => call.includes("install"))).toHaveLength(1);
  },
);

folderTest(
  "takes the fetched Node where the machine's own is too old",
  async ({ folder, root }) => {
    await prepare(root, envWith(folder));
    pretendNode(folder, "20.0.0");
    const { name, binary } = chooseNodePackage(readPlatform());
    const fetched = join(root, ".runtime/node_modules", name);
    writeFiles(fetched, { "package.json": JSON.stringify({ version: NODE_VERSION }) });
    writeProgram(
      join(fetched, binary, ".."),
      "node",
      `exec "${process.execPath}" --title=fetched "$@"`,
    );

    expect(JSON.parse(launchIn(join(root, "headrace"), folder).stdout).title).toBe("fetched");
  },
);

folderTest("sets up nothing, and says what does", ({ folder, root }) => {
  pretendNode(folder, "30.0.0");
  const { status, stdout, stderr } = launchIn(join(root, "headrace"), folder);

  expect({ status, stdout, stderr }).toEqual({
    status: 1,
    stdout: "",
    stderr: expect.stringMatching(/^\nHeadrace is not set up here.* `npm start` does it; .*\n$/),
  });
  expect(readCalls(folder).filter((call) => call.startsWith("pnpm"))).toEqual([]);
});
