import { describe, expect, test } from "vitest";

import { CannotContinue, findSeam } from "./seam.ts";

/** Ids are bytes here, so that a character may take several. */
const spell = async (ids: readonly number[]): Promise<string> => Buffer.from(ids).toString();
const spellTrimmed = async (ids: readonly number[]): Promise<string> =>
  (await spell(ids)).replace(/^ /, "");
const unneeded = (): never => {
  throw new Error("nothing needs to be spelled");
};
const request = { model: "m" };
const bytes = (text: string): number[] => [...Buffer.from(text)];
const says = (content: string, fields: object = {}): string =>
  JSON.stringify([{ index: 0, delta: { content, ...fields }, finish_reason: null }]);
const END = JSON.stringify([{ index: 0, delta: {}, finish_reason: "stop" }]);
const written = (ids: number[], ...deltas: string[]) => ({ promptIds: [1], ids, deltas });

describe("findSeam", () => {
  test("tells what the ids say beyond what readers have", async () => {
    const seam = await findSeam(
      written(bytes("Hello you"), says("Hel"), says("lo")),
      spell,
      request,
    );

    expect(seam).toEqual({
      promptIds: [1],
      ids: bytes("Hello you"),
      text: "Hello you",
      shownLength: 5,
      finishReason: null,
    });
  });

  test("loses no space to a tokenizer that drops the first", async () => {
    const seam = await findSeam(written(bytes(" Hi you"), says(" Hi")), spellTrimmed, request);

    expect(seam).toMatchObject({ text: " Hi you", shownLength: 3 });
  });

  test("reads the text of completions", async () => {
    const text = JSON.stringify([{ index: 0, text: "Hi" }]);

    expect(await findSeam(written(bytes("Hi"), text), spell, request)).toMatchObject({
      text: "Hi",
    });
  });

  test.for([1, 2, 3])("gives up %i bytes that only begin a character", async (count) => {
    const ids = [...bytes("so "), ...bytes("🌊").slice(0, count)];

    const seam = await findSeam(written(ids, says("so ")), spell, request);

    expect(seam).toMatchObject({ ids: bytes("so "), text: "so ", shownLength: 3 });
  });

  test("keeps bytes that begin no character, as the engine showed them", async () => {
    const ids = [...bytes("so "), 0x80, 0x80, 0x80, 0x80];

    const seam = await findSeam(written(ids, says("so \uFFFD\uFFFD\uFFFD\uFFFD")), spell, request);

    expect(seam.ids).toEqual(ids);
  });

  test("asks for no text when the output was whole", async () => {
    expect(await findSeam(written(bytes("Hi"), says("Hi"), END), unneeded, request)).toMatchObject({
      ids: bytes("Hi"),
      text: "Hi",
      finishReason: "stop",
    });
  });

  test("goes on after reasoning that has ended", async () => {
    const ids = bytes("<think>hm</think>Hello");
    const log = written(ids, says("", { reasoning: "hm" }), says("Hello"));

    expect(await findSeam(log, spell, request)).toMatchObject({ text: "Hello", shownLength: 5 });
  });

  test.for([
    ["it was still reasoning", written(bytes("<think>hm"), says("", { reasoning: "hm" }))],
    [
      "it was still reasoning",
      written(bytes("<think>hm</think>Hel held"), says("", { reasoning: "hm" }), says("Hel")),
    ],
    ["the ids do not spell what was shown", written(bytes("Hullo"), says("Hello"))],
    ["the ids do not spell what was shown", written([], says("Hello"))],
    ["nothing was shown", written(bytes("🌊").slice(0, 2), says("", { role: "assistant" }))],
    ["nothing was shown", written(bytes("<think>"), says("", { role: "assistant" }))],
    ["nothing was shown", written(bytes("Hello"))],
    ["the ids do not spell what was shown", written([0x80, 0xf0], says("\uFFFD"))],
    ["it said more than text", written(bytes("x"), says("", { tool_calls: [{}] }))],
    ["it said more than text", written(bytes("x"), JSON.stringify([{ index: 1, text: "x" }]))],
  ] as const)("refuses: %s", async ([reason, log]) => {
    await expect(findSeam(log, spell, request)).rejects.toThrow(new CannotContinue(reason));
  });

  test("refuses reasoning whose text may be held back, however well it fits", async () => {
    const ids = bytes("<think>hm</think>ha ha ha ha ");
    const log = written(ids, says("", { reasoning: "hm" }), says("ha ha "));

    await expect(findSeam(log, spell, { ...request, stop: ["a stop"] })).rejects.toThrow(
      new CannotContinue("text may be held back behind its reasoning"),
    );
  });

  test("refuses to give up ids that readers have", async () => {
    const log = written([...bytes("so "), 0xf0], says("so "));

    await expect(findSeam(log, spell, { ...request, return_token_ids: true })).rejects.toThrow(
      CannotContinue,
    );
  });
});
