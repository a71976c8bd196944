import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { CITATIONS } from "./citations.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

test.for(CITATIONS)("the matrix cites a test that exists: $fault", ({ file, test: name }) => {
  expect(readFileSync(`${root}/${file}`, "utf8")).toContain(name);
});
