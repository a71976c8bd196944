import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { detokenize, tokenize } from "./language.ts";
import { OutputText, StreamDecoder } from "./output-text.ts";
import { VOCABULARY_SIZE } from "./vocabulary.ts";

const ids = fc.array(fc.oneof(fc.nat(255), fc.nat(VOCABULARY_SIZE - 1)), { maxLength: 40 });
const text = fc.string({ unit: "binary", maxLength: 40 });
const noStop = { stop: [], minTokens: 0, includeStop: false };

function pieces(given: readonly number[], output: OutputText): string[] {
  return given.map((id, index) => output.take(id, index === given.length - 1).text);
}

describe("StreamDecoder", () => {
  test("gives, id by id, the text of all ids at once", () => {
    const property = fc.property(ids, (given) => {
      const decoder = new StreamDecoder([]);
      const streamed = given.map((id) => decoder.take(id)).join("");

      // What it still holds is the beginning of a character, which decoding at once replaces.
      expect(detokenize(given).startsWith(streamed)).toBe(true);
      expect(detokenize(given).slice(streamed.length)).toMatch(/^\uFFFD{0,3}$/);
    });
    fc.assert(property, { numRuns: 500 });
  });

  test("holds a character back until its last byte", () => {
    const decoder = new StreamDecoder([]);

    expect(tokenize("🌊").map((id) => decoder.take(id))).toEqual(["", "", "", "🌊"]);
  });

  test("leaves a character that the prompt began to the prompt", () => {
    const [first = 0, ...rest] = tokenize("é river");
    const decoder = new StreamDecoder([first]);

    expect(rest.map((id) => decoder.take(id))).toEqual(["", " river"]);
  });
});

describe("OutputText", () => {
  test("cuts the text before the first stop string, however it falls into tokens", () => {
    const property = fc.property(
      text,
      text,
      fc.string({ minLength: 1, maxLength: 4 }),
      (a, b, stop) => {
        const given = tokenize(a + stop + b);
        const output = new OutputText([], { ...noStop, stop: [stop] });
        let said = "";
        for (const [index, id] of given.entries()) {
          const step = output.take(id, index === given.length - 1);
          said += step.text;
          if (step.stopReason !== null) break;
        }

        expect(said).toBe((a + stop + b).slice(0, (a + stop + b).indexOf(stop)));
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  test("holds back one character less than the longest stop string, and releases it at the end", () => {
    const output = new OutputText([], { ...noStop, stop: ["xyzw", "q"] });

    expect(pieces(tokenize("abcdef").flatMap(split), output)).toEqual([
      "",
      "",
      "",
      "a",
      "b",
      "cdef",
    ]);
  });

  test("never hands out half of a surrogate pair", () => {
    const output = new OutputText([], { ...noStop, stop: ["xy"] });

    expect(pieces(tokenize("🌊🌊"), output)).toEqual(["", "", "", "", "", "", "", "🌊🌊"]);
  });

  test("does not look for stops in the first min_tokens tokens", () => {
    const output = new OutputText([], { ...noStop, stop: ["b"], minTokens: 3 });
    const steps = [...Buffer.from("abcb")].map((byte) => output.take(byte, false));

    expect(steps.map((step) => step.stopReason)).toEqual([null, null, null, "b"]);
  });
});

function split(id: number): number[] {
  return [...Buffer.from(detokenize([id]))];
}
