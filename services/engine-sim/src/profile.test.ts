import { describe, expect, test } from "vitest";
import { runClosedLoop } from "./closed-loop.ts";
import { PROFILES, stepMs } from "./profile.ts";

const sweep = { requests: 64, sharedTokens: 0, ownTokens: 1_024, outputTokens: 128 };

describe("stepMs", () => {
  test("hides computing behind reading the weights until it takes longer", () => {
    const times = { weightsMs: 10, prefillTokenMs: 1, decodeTokenMs: 2, contextTokenMs: 0.001 };

    expect(stepMs(times, { prefillTokens: 0, decodes: 1, contextTokens: 0 })).toBe(10);
    expect(stepMs(times, { prefillTokens: 0, decodes: 5, contextTokens: 1_000 })).toBe(11);
    expect(stepMs(times, { prefillTokens: 20, decodes: 5, contextTokens: 0 })).toBe(30);
  });
});

describe("the published figures", () => {
  test("a100-8b gives 75 tokens/s to one stream of 1,024 in and 128 out", () => {
    const one = runClosedLoop(PROFILES["a100-8b"], { ...sweep, clients: 1, requests: 4 });

    expect(one.outputTokensPerSecond / 75).toBeCloseTo(1, 1);
  });

  test("a100-8b gives some 6.6 times as much to eight streams, and gains less from there on", () => {
    const [one, eight, thirtyTwo] = [1, 8, 32].map(
      (clients) => runClosedLoop(PROFILES["a100-8b"], { ...sweep, clients }).outputTokensPerSecond,
    );

    expect(Number(eight) / Number(one)).toBeGreaterThan(6.6 * 0.93);
    expect(Number(eight) / Number(one)).toBeLessThan(6.6 * 1.07);
    expect(Number(thirtyTwo) / Number(eight)).toBeLessThan(3);
  });

  test("h100-8b peaks at about 12,500 output tokens/s", () => {
    const { maxNumSeqs, times } = PROFILES["h100-8b"];
    const load = { prefillTokens: 0, decodes: maxNumSeqs, contextTokens: maxNumSeqs * 512 };

    expect((1_000 * maxNumSeqs) / stepMs(times, load) / 12_500).toBeCloseTo(1, 1);
  });

  test("l4-7b serves 6.7 random and 13.0 prefix-sharing requests/s on two GPUs", () => {
    const load = { clients: 27, requests: 540, outputTokens: 64 };
    const random = { ...load, sharedTokens: 0, ownTokens: 512 };
    const shared = { ...load, sharedTokens: 496, ownTokens: 16 };

    expect((2 * runClosedLoop(PROFILES["l4-7b"], random).requestsPerSecond) / 6.7).toBeCloseTo(
      1,
      1,
    );
    expect((2 * runClosedLoop(PROFILES["l4-7b"], shared).requestsPerSecond) / 13).toBeCloseTo(1, 1);
  });

  test("single streams run as fast as the weights can be read", () => {
    const tokensPerSecond = Object.values(PROFILES).map(({ times }) =>
      Math.round(1_000 / stepMs(times, { prefillTokens: 0, decodes: 1, contextTokens: 512 })),
    );

    expect(tokensPerSecond).toEqual([200, 166, 77, 17]);
  });
});
