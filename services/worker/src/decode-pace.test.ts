import { describe, expect, test } from "vitest";

import { DecodePace } from "./decode-pace.ts";

const stream = {};

/** Bring a chunk of a stream every so many milliseconds. */
function beats(pace: DecodePace, every: number, count: number, from = 0): void {
  for (let beat = 0; beat < count; beat += 1) pace.beat(stream, from + beat * every);
}

describe("the pace of decoding", () => {
  test("is the time between a stream's chunks", () => {
    const pace = new DecodePace();

    beats(pace, 7, 10);

    expect(pace.isMeasured).toBe(true);
    expect(pace.take()).toBe(7);
    expect(pace.take()).toBeNull();
  });

  test("is the middle of what was measured", () => {
    const pace = new DecodePace();
    beats(pace, 7, 10);
    beats(pace, 90, 4, 63);

    expect(pace.take()).toBe(7);
  });

  test("leaves out steps in which a prompt is read", () => {
    const pace = new DecodePace();
    beats(pace, 7, 3);
    pace.startReading();
    beats(pace, 40, 10, 21);
    pace.endReading();
    beats(pace, 7, 3, 500);

    expect(pace.take()).toBeNull();
  });

  test("is taken from one stream at a time", () => {
    const pace = new DecodePace();
    const other = {};
    for (let beat = 0; beat < 8; beat += 1) {
      pace.beat(stream, beat * 7);
      pace.beat(other, beat * 7 + 3);
    }
    const ofOne = pace.take();
    pace.leave(other);
    pace.leave(stream);
    for (let beat = 0; beat < 4; beat += 1) pace.beat(other, 100 + beat * 9);

    expect([ofOne, pace.take()]).toEqual([7, 9]);
  });
});
