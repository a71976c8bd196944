// @ts-check
import { expect, test } from "vitest";
import { findObjection } from "./launch.js";

test("refuses a Node that is too old in one line that says what to do", () => {
  const objection = findObjection("18.20.4", "linux");

  expect(objection).toMatch(/^Headrace needs Node 20 or newer .* this is 18\.20\.4\. Install/);
  expect(objection).not.toContain("\n");
});

test("points a Windows user to WSL", () => {
  expect(findObjection("26.10.0", "win32")).toContain("WSL 2");
});

test.for(["20.0.0", "26.10.0"])("starts with Node %s", (version) => {
  expect(findObjection(version, "linux")).toBeNull();
});
