// @ts-check
import { expect, test } from "vitest";
import { folderTest, writeFiles } from "./stand-ins.js";
import { findPackageFolders, readPackagePatterns } from "./workspace.js";

test("reads the list of packages, and nothing after it", () => {
  const text =
    "packages:\n  - packages/*\n  # the tests\n  - 'test'\n\npmOnFail: ignore\nlist:\n  - no\n";

  expect(readPackagePatterns(text)).toEqual(["packages/*", "test"]);
});

folderTest("finds the folders that hold a manifest", ({ folder }) => {
  writeFiles(folder, {
    "pnpm-workspace.yaml": "packages:\n  - packages/*\n  - services/*\n  - test\n",
    "packages/b/package.json": "{}",
    "packages/a/package.json": "{}",
    "packages/empty/readme": "",
    "test/package.json": "{}",
  });

  expect(findPackageFolders(folder)).toEqual(["packages/a", "packages/b", "test"]);
});
