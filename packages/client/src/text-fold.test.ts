import type { JobEvent } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { TextFold, type TextPiece } from "./text-fold.ts";

const said = (content: string): JobEvent => ({
  type: "output.delta",
  choices: [{ index: 0, delta: { content } }],
});
const attempt = (epoch: number, from: number, reset: boolean): JobEvent => ({
  type: "attempt.started",
  epoch,
  reason: "first",
  from,
  reset,
});

const fold = (...events: JobEvent[]): TextPiece[] => {
  const text = new TextFold();
  return events.flatMap((event) => text.take(event) ?? []);
};
const piece = (text: string): TextPiece => ({ reset: false, text });
const anew = (text: string): TextPiece => ({ reset: true, text });

describe("TextFold", () => {
  test("goes on without a seam when an attempt continues", () => {
    const pieces = fold(attempt(1, 0, false), said("a"), attempt(2, 1, false), said("b"));

    expect(pieces).toEqual([piece("a"), piece("b")]);
  });

  test("starts anew when an attempt voids what was shown", () => {
    const pieces = fold(attempt(1, 0, false), said("a"), attempt(2, 1, true), said("b"));

    expect(pieces).toEqual([piece("a"), anew(""), piece("b")]);
  });

  test("goes back to what survived when an attempt continues from before the reader's place", () => {
    const pieces = fold(
      attempt(1, 0, false),
      said("a"),
      said("b"),
      said("c"),
      attempt(2, 1, false),
      said("d"),
      attempt(3, 2, false),
      said("e"),
    );

    expect(pieces).toEqual([piece("a"), piece("b"), piece("c"), anew("a"), piece("d"), piece("e")]);
  });

  test("says nothing of attempts before any text", () => {
    expect(fold(attempt(1, 0, false), said(""), attempt(2, 0, true))).toEqual([]);
  });

  test("reads completions, and the first choice alone", () => {
    const choices = [
      { index: 1, text: "other" },
      { index: 0, text: "first" },
    ];

    expect(fold({ type: "output.delta", choices })).toEqual([piece("first")]);
  });
});
