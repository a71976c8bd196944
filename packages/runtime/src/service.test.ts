import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

const index = fileURLToPath(new URL("index.ts", import.meta.url));

/** Run a process whose main function is `body`, and tell how it ended. */
async function run(
  body: string,
  signals: readonly NodeJS.Signals[] = [],
): Promise<{ code: number | null; output: string }> {
  const script = `
    import { ConfigurationError, createLog, runService, whenAborted } from ${JSON.stringify(index)};
    await runService(createLog("test", "info"), async (signal) => { ${body} });`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script]);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (text.includes("up")) for (const name of signals) child.kill(name);
    });
  }
  await once(child, "close");
  return { code: child.exitCode, output };
}

describe("runService", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("lets main release everything on %s", async (name) => {
    const { code, output } = await run(
      `const held = setInterval(() => {}, 1000); console.log("up"); await whenAborted(signal);
       clearInterval(held); console.log("released");`,
      [name],
    );

    expect(code).toBe(0);
    expect(output).toContain("released");
  });

  test("ends with code 1 when main fails, and says why", async () => {
    const { code, output } = await run(`throw new Error("no engine");`);

    expect(code).toBe(1);
    expect(output).toContain("no engine");
  });

  test("shows a configuration's faults as they are", async () => {
    const { code, output } = await run(`throw new ConfigurationError("PORT: too large");`);

    expect(code).toBe(1);
    expect(output).toMatch(/^PORT: too large$/m);
  });
});
