// @ts-check

/** @typedef {{ passed: number, failed: number, skipped: number }} Tally */

/**
 * What we read of the test runner's JSON report; it has one result for each file.
 *
 * @typedef {{
 *   numPassedTests: number,
 *   numFailedTests: number,
 *   numPendingTests: number,
 *   numTodoTests: number,
 *   testResults: { status: string, assertionResults: unknown[] }[],
 * }} Report
 */

/**
 * Count a run's tests. What fails outside any test counts as a failed one: a file that does not load,
 * an error that nothing caught, a runner that died.
 *
 * @param {unknown} report the runner's JSON report; null when it wrote none
 * @param {number} exitCode the runner's
 * @returns {Tally}
 */
export function countTests(report, exitCode) {
  if (!isReport(report)) return { passed: 0, failed: 1, skipped: 0 };
  const brokenFiles = report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  );
  const tally = {
    passed: report.numPassedTests,
    failed: report.numFailedTests + brokenFiles.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
  const isUnexplained = exitCode !== 0 && tally.failed === 0 && tally.passed > 0;
  return isUnexplained ? { ...tally, failed: 1 } : tally;
}

/**
 * @param {unknown} report
 * @returns {report is Report}
 */
function isReport(report) {
  return typeof report === "object" && report !== null && "numPassedTests" in report;
}

/**
 * Tell whether something ran and nothing failed.
 *
 * @param {Tally} tally
 * @returns {boolean}
 */
export function hasPassed({ passed, failed }) {
  return passed > 0 && failed === 0;
}

/**
 * Write the count in the one form that machines look for at the end of a run.
 *
 * @param {Tally} tally
 * @returns {string}
 */
export function closingLine({ passed, failed, skipped }) {
  const line = `${passed} passed, ${failed} failed`;
  return skipped === 0 ? line : `${line}, ${skipped} skipped`;
}
