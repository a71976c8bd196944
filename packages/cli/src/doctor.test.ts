import type { Diagnosis } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { renderDiagnosis } from "./doctor.ts";
import { testOutput } from "./test-output.ts";

const well: Diagnosis = {
  object: "diagnosis",
  durability: "redis",
  is_well: true,
  findings: [
    { check: "redis", level: "ok", found: "Redis 7.2.4 keeps every key", advice: null },
    { check: "persistence", level: "ok", found: "synced every second", advice: null },
  ],
};

describe("renderDiagnosis", () => {
  test("says that all is well", () => {
    expect(renderDiagnosis(well, testOutput())).toEqual([
      "  ✓ redis        Redis 7.2.4 keeps every key",
      "  ✓ persistence  synced every second",
      "",
      "  All is well.",
    ]);
  });

  test("says what is wrong, how to mend it, and how much there is", () => {
    const findings: Diagnosis["findings"] = [
      { check: "memory", level: "warning", found: "62 %", advice: "give it more" },
      { check: "jobs", level: "fault", found: "1 job is stuck", advice: "start a worker" },
      { check: "jobs", level: "fault", found: "2 jobs are late", advice: "look" },
    ];

    expect(renderDiagnosis({ ...well, findings }, testOutput())).toEqual([
      "  ! memory  62 %",
      "            → give it more",
      "  ✗ jobs    1 job is stuck",
      "            → start a worker",
      "  ✗ jobs    2 jobs are late",
      "            → look",
      "",
      "  2 faults, 1 warning",
    ]);
  });
});
