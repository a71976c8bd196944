// @ts-check
import { expect, test } from "vitest";
import { closingLine, countTests, hasPassed } from "./tally.js";

/** @param {object} counts */
const reportWith = (counts) => ({
  numPassedTests: 0,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [],
  ...counts,
});

test("counts skipped tests and those still to write as skipped", () => {
  const report = reportWith({ numPassedTests: 5, numPendingTests: 2, numTodoTests: 1 });

  const tally = countTests(report, 0);

  expect(closingLine(tally)).toBe("5 passed, 0 failed, 3 skipped");
  expect(hasPassed(tally)).toBe(true);
});

test("counts a file that does not load as a failed test", () => {
  const broken = { status: "failed", assertionResults: [] };
  const failed = { status: "failed", assertionResults: [{}] };
  const report = reportWith({
    numPassedTests: 5,
    numFailedTests: 1,
    testResults: [broken, failed],
  });

  expect(closingLine(countTests(report, 1))).toBe("5 passed, 2 failed");
});

test("counts an error outside every test as a failed one", () => {
  expect(countTests(reportWith({ numPassedTests: 5 }), 1)).toMatchObject({ passed: 5, failed: 1 });
});

test("counts a runner that died as a failed test", () => {
  expect(closingLine(countTests(null, 137))).toBe("0 passed, 1 failed");
});

test("does not pass when nothing ran", () => {
  const tally = countTests(reportWith({}), 1);

  expect(closingLine(tally)).toBe("0 passed, 0 failed");
  expect(hasPassed(tally)).toBe(false);
});
