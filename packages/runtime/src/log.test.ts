import { describe, expect, test } from "vitest";

import { createReport, type Log } from "./log.ts";

function collect(): { log: Log; lines: { fields: object; message: string }[] } {
  const lines: { fields: object; message: string }[] = [];
  const write = (fields: object, message: string): void => void lines.push({ fields, message });
  return { log: { debug: write, info: write, warn: write, error: write }, lines };
}

describe("createReport", () => {
  test("logs a kind of failure once in five seconds, and then how many were left out", () => {
    const { log, lines } = collect();
    let now = 0;
    const report = createReport(log, () => now);

    for (let count = 0; count < 100; count += 1) report(new Error("no answer"));
    now = 5_000;
    report(new Error("no answer"));

    expect(lines.map(({ fields }) => fields)).toMatchObject([{ alike: 0 }, { alike: 99 }]);
  });

  test("tells kinds apart by message and cause, but not by job", () => {
    const { log, lines } = collect();
    const report = createReport(log, () => 0);

    report(new Error("queueing job_a_1 failed", { cause: new Error("away") }));
    report(new Error("queueing job_b_2 failed", { cause: new Error("away") }));
    report(new Error("queueing job_c_3 failed", { cause: new Error("full") }));

    expect(lines.length).toBe(2);
  });

  test("remembers a bounded number of kinds", () => {
    const { log, lines } = collect();
    const report = createReport(log, () => 0);

    for (let kind = 0; kind < 1_000; kind += 1) report(new Error(`kind ${kind}`));

    expect(lines.length).toBe(1_000);
  });
});
