// @ts-check
import { expect, test } from "vitest";
import { describeFailure, explainFileErrors, findAdvice } from "./failure.js";

test.for([
  {
    output: "npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left on device, write",
    advice: "disk is full",
  },
  {
    output: "Failed to write cafs: No space left\n        on device (os error 28)",
    advice: "disk is full",
  },
  {
    output: "E: You don't have enough free space in /var/cache/apt/archives/.",
    advice: "disk is full",
  },
  { output: "npm error code ENOTFOUND", advice: "could not be reached" },
  {
    output: "request failed, reason: connect ECONNREFUSED 127.0.0.1:9",
    advice: "could not be reached",
  },
  { output: "error sending request: client error (Connect)", advice: "could not be reached" },
  { output: "Temporary failure resolving 'deb.debian.org'", advice: "could not be reached" },
  { output: "npm error code E403", advice: "refused the request" },
  { output: "npm error code ETARGET", advice: "does not have it" },
  { output: "npm error code EINTEGRITY", advice: "thrown away" },
  { output: "attempt 1 failed with SELF_SIGNED_CERT_IN_CHAIN", advice: "NODE_EXTRA_CA_CERTS" },
  { output: " ERR_PNPM_OUTDATED_LOCKFILE  Cannot install", advice: "pnpm install" },
  { output: "EACCES: permission denied, mkdir", advice: "may not write" },
])("finds the cause in $output", ({ output, advice }) => {
  expect(findAdvice(output)).toContain(advice);
});

test("tells what was tried, the end of what it said, and what to do", () => {
  const output = ["first", ...Array.from({ length: 40 }, (_, line) => `line ${line}`)].join("\n");

  const { message } = describeFailure("Fetching Node", { command: "npm install", output });

  expect(message).toMatch(/^Fetching Node failed\.\n {2}tried: npm install\n {2}line 25\n/);
  expect(message).toMatch(/line 39\nMend what it names and run the command again\.$/);
});

test("leaves repeats and stack frames off the screen", () => {
  const output = "npm error cause\nnpm error     at write (node:fs:1:2)\nsame\nsame\n\n";

  const { message } = describeFailure("Fetching", { command: "npm", output, otherwise: "Do." });

  expect(message).toBe("Fetching failed.\n  tried: npm\n  npm error cause\n  same\nDo.");
});

test("tells a full disk met by our own file work as such", async () => {
  const error = Object.assign(new Error("ENOSPC: no space left, mkdir"), { code: "ENOSPC" });
  const failing = explainFileErrors("Setting up", () => Promise.reject(error));

  await expect(failing).rejects.toMatchObject({
    name: "SetUpError",
    message: expect.stringContaining("The disk is full"),
  });
});

test("lets an error that it does not know pass", async () => {
  const bug = new TypeError("undefined is not a function");

  await expect(explainFileErrors("Setting up", () => Promise.reject(bug))).rejects.toBe(bug);
});
