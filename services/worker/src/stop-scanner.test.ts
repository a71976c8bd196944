import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { StopScanner } from "./stop-scanner.ts";

const rules = { stops: ["abc"], includesStop: false, minTokens: 0 };
const begun = (text: string, shownLength: number): StopScanner =>
  new StopScanner(rules, { text, tokens: text.length, shownLength });

/** What is shown in all, character by character as tokens, and the stop that ended it. */
function show(scanner: StopScanner, text: string): [string, string | null] {
  let shown = scanner.begin(false);
  const tokens = Array.from(text);
  for (const [at, token] of tokens.entries()) {
    const { text: more, stop } = scanner.take(token, 1, at === tokens.length - 1);
    shown += more;
    if (stop !== null) return [shown, stop];
  }
  return [shown, null];
}

describe("StopScanner", () => {
  test("finds a stop string across the seam, whatever part of it was before", () => {
    for (const [before, after] of [
      ["xa", "bcd"],
      ["xab", "cd"],
      ["x", "abcd"],
    ] as const) {
      expect(show(begun(before, 0), after)).toEqual(["x", "abc"]);
    }
  });

  test("does not find one that had ended before", () => {
    expect(show(begun("xabc", 0), "de")).toEqual(["xabcde", null]);
  });

  test("says what looked like a stop string and was none", () => {
    expect(show(begun("xab", 1), "xy")).toEqual(["abxy", null]);
  });

  test("cannot take back what readers have", () => {
    expect(show(begun("xab", 3), "c")).toEqual(["", "abc"]);
  });

  test("shows a stop string that is to be part of the text", () => {
    const scanner = new StopScanner(
      { ...rules, includesStop: true },
      { text: "xab", tokens: 3, shownLength: 1 },
    );

    expect(show(scanner, "cd")).toEqual(["abc", "abc"]);
  });

  test("looks for none that ends within the least tokens", () => {
    const scanner = new StopScanner(
      { ...rules, minTokens: 4 },
      { text: "xab", tokens: 3, shownLength: 1 },
    );

    expect(show(scanner, "cabcd")).toEqual(["abc", "abc"]);
  });

  test("takes the first of the list, as the engine does", () => {
    const scanner = new StopScanner(
      { stops: ["c", "abc"], includesStop: false, minTokens: 0 },
      { text: "xab", tokens: 3, shownLength: 1 },
    );

    expect(show(scanner, "c")).toEqual(["ab", "c"]);
  });

  test("shows the same wherever the seam lies", () => {
    const property = fc.property(
      fc.string({ unit: fc.constantFrom("a", "b", "c", "🌊"), minLength: 1, maxLength: 12 }),
      fc.nat(12),
      (text, place) => {
        const characters = Array.from(text);
        const at = text.indexOf("abc");
        const seam = Math.min(
          place,
          at < 0 ? characters.length : Array.from(text.slice(0, at + 2)).length,
        );
        const before = characters.slice(0, seam).join("");
        const after = characters.slice(seam).join("");
        const shownLength = Math.max(0, before.length - 2);
        const whole = isHighSurrogate(before.charCodeAt(shownLength - 1))
          ? shownLength - 1
          : shownLength;
        const scanner = new StopScanner(rules, { text: before, tokens: seam, shownLength: whole });
        if (after === "") return;

        const [shown] = show(scanner, after);

        expect(before.slice(0, whole) + shown).toBe(at < 0 ? text : text.slice(0, at));
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
