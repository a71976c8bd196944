import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

/** What runs in any JavaScript runtime, by its own word (https://zod.dev). */
const PORTABLE = new Set(["zod"]);
/** What only Node has without an import. */
const NODE_GLOBALS = /\b(?:process|Buffer|NodeJS|require|setImmediate|__dirname)\b/;

interface Source {
  readonly file: string;
  readonly code: string;
  readonly imports: readonly string[];
}

/** Read a file, and all of ours that it imports, types apart. */
function readGraph(entry: string): Source[] {
  const sources = new Map<string, Source>();
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (sources.has(file)) continue;
    const code = readFileSync(file, "utf8").replaceAll(/\/\*[^]*?\*\/|^ *\/\/.*$/gm, "");
    const statements = code.matchAll(/^(?:import|(?:import|export)\b[^;"]*?\bfrom) "([^"]+)";$/gm);
    const imports = [...statements].map(([, target = ""]) => target);
    sources.set(file, { file, code, imports });
    waiting.push(...imports.filter((target) => /^(\.|@headrace\/)/.test(target)).map(from(file)));
  }
  return [...sources.values()];
}

function from(file: string): (target: string) => string {
  const { resolve } = createRequire(file);
  return (target) => resolve(target);
}

const graph = readGraph(fileURLToPath(new URL("index.ts", import.meta.url)));

describe("the client", () => {
  test("comes with the whole contract", () => {
    expect(graph.map(({ file }) => file)).toContainEqual(
      expect.stringMatching(/contract\/src\/job-id\.ts$/),
    );
  });

  test("imports nothing that only Node has, so that it runs wherever there is fetch", () => {
    const strays = graph.flatMap(({ file, imports }) =>
      imports
        .filter((target) => !/^(\.|@headrace\/)/.test(target) && !PORTABLE.has(target))
        .map((target) => `${file}: ${target}`),
    );

    expect(strays).toEqual([]);
  });

  test("uses no global that only Node has", () => {
    const users = graph.filter(({ code }) => NODE_GLOBALS.test(code)).map(({ file }) => file);

    expect(users).toEqual([]);
  });
});
