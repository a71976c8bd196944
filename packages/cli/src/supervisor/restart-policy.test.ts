import { describe, expect, test } from "vitest";

import { RestartPolicy } from "./restart-policy.ts";

describe("RestartPolicy", () => {
  test("waits twice as long each time, and gives up after five restarts in a minute", () => {
    let now = 0;
    const policy = new RestartPolicy(() => now);
    const pauses: (number | null)[] = [];
    for (let end = 0; end < 6; end += 1) {
      pauses.push(policy.next());
      now += 11_000;
    }

    expect(pauses).toEqual([200, 400, 800, 1_600, 3_200, null]);
  });

  test("forgets an end after a minute", () => {
    let now = 0;
    const policy = new RestartPolicy(() => now);
    for (let end = 0; end < 20; end += 1) {
      expect(policy.next()).not.toBeNull();
      now += 12_000;
    }
    now += 60_000;

    expect(policy.next()).toBe(200);
  });
});
