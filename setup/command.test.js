// @ts-check
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect } from "vitest";
import { findProgram, runQuietly } from "./command.js";
import { folderTest, writeFiles, writeProgram } from "./stand-ins.js";

/** Counts the stops it is sent, and ends with a code of its own a moment after the first. */
const SERVICE = `
  let stops = 0;
  process.on("SIGTERM", () => {
    stops += 1;
    if (stops === 1) setTimeout(() => { console.log("stops " + stops); process.exit(7); }, 300);
  });
  setInterval(() => {}, 1_000);
  console.log("ready");`;

const RUNNER = `
  import { runInForeground } from ${JSON.stringify(join(import.meta.dirname, "command.js"))};
  const folder = import.meta.dirname;
  process.exitCode = await runInForeground(process.execPath, [folder + "/service.js"], {
    env: process.env,
    folder,
  });`;

folderTest(
  "passes a repeated stop on once, and ends with the command's code",
  async ({ folder }) => {
    writeFiles(folder, { "service.js": SERVICE, "runner.mjs": RUNNER });
    const runner = spawn(process.execPath, [join(folder, "runner.mjs")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    runner.stdout.setEncoding("utf8").on("data", (text) => (output += text));
    await once(runner.stdout, "data");
    runner.kill("SIGTERM");
    setTimeout(() => runner.kill("SIGTERM"), 100);
    const [exitCode] = await once(runner, "close");

    expect({ exitCode, output }).toEqual({ exitCode: 7, output: "ready\nstops 1\n" });
  },
);

folderTest("stops the command when the npm that started us is gone", async ({ folder }) => {
  writeFiles(folder, { "service.js": SERVICE, "runner.mjs": RUNNER });
  // The shell stands for the one that npm puts in between; `wait` keeps it from becoming the runner.
  const shell = spawn(
    "sh",
    ["-c", `"$0" "$1" & wait`, process.execPath, join(folder, "runner.mjs")],
    {
      env: { npm_lifecycle_event: "start" },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let output = "";
  shell.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  await once(shell.stdout, "data");
  shell.kill("SIGTERM");
  await once(shell.stdout, "end");

  expect(output).toBe("ready\nstops 1\n");
});

folderTest("ends a quiet command when told to, and only then rejects", async ({ folder }) => {
  writeProgram(
    folder,
    "slow",
    "trap 'echo gone >> calls; exit' TERM\nwhile :; do sleep 0.01; done",
  );
  const controller = new AbortController();
  const options = { env: { PATH: `${folder}:/usr/bin:/bin` }, folder, signal: controller.signal };
  const running = runQuietly("slow", [], options);
  setTimeout(() => controller.abort(new Error("stopped")), 100);
  await expect(running).rejects.toThrow("stopped");

  const { output } = await runQuietly("cat", ["calls"], { env: options.env, folder });

  expect(output).toBe("slow \ngone\n");
});

folderTest("reports a program that is not there as a shell does", async ({ folder }) => {
  const env = { PATH: folder };

  await expect(runQuietly("nothing", [], { env })).resolves.toMatchObject({ exitCode: 127 });
  expect(findProgram("nothing", env)).toBeNull();
});
