import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

import { describe, expect, test } from "vitest";

import { commandOf } from "./terminal.ts";

const root = resolve(import.meta.dirname, "../../..");

describe("the command in a hint", () => {
  test("is the launcher, as it is typed where the user is", () => {
    expect(commandOf(root)).toBe("./headrace");
    expect(commandOf(join(root, "docs"))).toBe("../headrace");
    expect(commandOf("/a/folder/far/away/from/here/and/deeper")).toBe(join(root, "headrace"));
    expect(existsSync(join(root, "headrace"))).toBe(true);
  });
});
