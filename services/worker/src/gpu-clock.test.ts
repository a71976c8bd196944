import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { GpuClock } from "./gpu-clock.ts";

describe("GpuClock", () => {
  test("charges a job that is alone for all of its time", () => {
    let nowMs = 1_000;
    const stop = new GpuClock(1, () => nowMs).start();
    nowMs += 250;

    expect(stop()).toBe(250);
  });

  test("charges jobs that run side by side for their part, and for each of the GPUs", () => {
    let nowMs = 0;
    const clock = new GpuClock(2, () => nowMs);
    const stopLong = clock.start();
    nowMs += 100;
    const stopShort = clock.start();
    nowMs += 100;
    const short = stopShort();
    nowMs += 100;

    expect([short, stopLong()]).toEqual([100, 500]);
  });

  test("shares out the time in which any job ran, however jobs come and go", () => {
    const step = fc.record({ passedMs: fc.nat(50), starts: fc.boolean(), which: fc.nat(1_000) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        let [nowMs, busyMs, sharedMs] = [0, 0, 0];
        const clock = new GpuClock(1, () => nowMs);
        const running: (() => number)[] = [];
        for (const { passedMs, starts, which } of steps) {
          nowMs += passedMs;
          if (running.length > 0) busyMs += passedMs;
          if (starts) running.push(clock.start());
          else sharedMs += running.splice(which % (running.length || 1), 1)[0]?.() ?? 0;
        }
        for (const stop of running) sharedMs += stop();

        expect(sharedMs).toBeCloseTo(busyMs, 6);
      }),
    );
  });
});
