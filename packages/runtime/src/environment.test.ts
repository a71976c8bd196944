import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";
import { z } from "zod";

import {
  ConfigurationError,
  integerVariable,
  portVariable,
  readEnvironment,
} from "./environment.ts";

const schema = z.object({
  NAME: z.string().min(2),
  PORT: portVariable.default(80),
  COUNT: integerVariable(1, 9).optional(),
});

const readFaulty = (): unknown => readEnvironment(schema, { PORT: "99999", COUNT: "many" });

const secretFile = (text: string): string => {
  const path = join(mkdtempSync(join(tmpdir(), "headrace-env-")), "secret");
  writeFileSync(path, text);
  return path;
};

describe("readEnvironment", () => {
  test("parses what is given and fills in what is not", () => {
    expect(readEnvironment(schema, { NAME: "ab", COUNT: "7", OTHER: "x" })).toEqual({
      NAME: "ab",
      PORT: 80,
      COUNT: 7,
    });
  });

  test("takes empty for not given", () => {
    expect(readEnvironment(schema, { NAME: "ab", PORT: "" }).PORT).toBe(80);
  });

  test("names every fault at once", () => {
    expect(readFaulty).toThrow(ConfigurationError);
    expect(readFaulty).toThrow(/NAME: [^]*PORT: [^]*COUNT: /);
  });

  test("reads a secret from the file it is mounted as", () => {
    expect(readEnvironment(schema, { NAME_FILE: secretFile("mounted\n") }).NAME).toBe("mounted");
  });

  test("refuses a variable that is given in both ways", () => {
    const twice = { NAME: "ab", NAME_FILE: secretFile("cd") };

    expect(() => readEnvironment(schema, twice)).toThrow("NAME: given twice, also as NAME_FILE");
  });

  test("says which file cannot be read", () => {
    expect(() => readEnvironment(schema, { NAME_FILE: "/nowhere/secret" })).toThrow(
      "NAME_FILE: /nowhere/secret cannot be read",
    );
  });
});
