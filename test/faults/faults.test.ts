import { describe, expect, test } from "vitest";

import { findMisses, FAULT_RUNS, runClass } from "./matrix.ts";

/** One seed for every run of the tests: what fails here fails again. */
const SEED = 1;
const LIMIT_MS = 150_000;

describe("a short run of each class of faults breaks no promise", () => {
  const runs = FAULT_RUNS.filter(({ sizes }) => sizes.includes("small"));
  test.for(runs.map((faultRun) => [faultRun.name, faultRun] as const))(
    "%s",
    { timeout: LIMIT_MS },
    async ([name, faultRun]) => {
      const outcome = await runClass(faultRun, {
        seed: SEED,
        size: "small",
        say: () => {},
      });

      const again = `npm run test:faults -- --only ${name} --size small --seed ${SEED}`;
      const [findings, misses] = [outcome.findings.slice(0, 5), findMisses(outcome)];
      expect({ again, findings, misses }).toEqual({ again, findings: [], misses: [] });
    },
  );
});
