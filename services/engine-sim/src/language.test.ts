import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chatPromptIds,
  continuation,
  detokenize,
  expectedChatText,
  expectedText,
  tokenize,
} from "./language.ts";
import { SPECIAL, VOCABULARY_SIZE } from "./vocabulary.ts";

const text = fc.string({ unit: "binary", maxLength: 60 });
const promptIds = fc.array(fc.nat(VOCABULARY_SIZE - 1), { maxLength: 30 });
const seed = fc.nat(1_000);

describe("the tokenizer", () => {
  test("gives back every text it took apart", () => {
    const property = fc.property(text, (given) => {
      expect(detokenize(tokenize(given))).toBe(given);
    });
    fc.assert(property);
  });

  test("takes the longest token at each place", () => {
    expect(tokenize(" the river")).toHaveLength(2);
    expect(tokenize(" é")).toEqual([0x20, 0xc3, 0xa9]);
  });
});

describe("continuation", () => {
  test("goes on after any k ids as if it had never been interrupted", () => {
    const property = fc.property(promptIds, seed, fc.nat(39), (prompt, given, k) => {
      const options = { seed: given, maxTokens: 40, minTokens: 5, ignoreEos: given % 2 === 0 };
      const whole = continuation({ ...options, promptIds: prompt });
      const begun = whole.ids.slice(0, Math.min(k, whole.ids.length - 1));
      const rest = continuation({
        ...options,
        promptIds: [...prompt, ...begun],
        maxTokens: 40 - begun.length,
        minTokens: Math.max(0, 5 - begun.length),
      });

      expect([...begun, ...rest.ids]).toEqual(whole.ids);
      expect(rest.finishReason).toBe(whole.finishReason);
    });
    fc.assert(property);
  });

  test("differs by prompt and by seed", () => {
    const answers = ["a", "b", "c"].flatMap((content) =>
      [0, 1].map((given) =>
        expectedChatText([{ role: "user", content }], { seed: given, maxTokens: 30 }),
      ),
    );

    expect(new Set(answers.map((answer) => answer.text)).size).toBe(6);
  });

  test("ends by itself after some 150 tokens in the mean, very variably", () => {
    const lengths = Array.from({ length: 600 }, (_, index) => {
      const prompt = chatPromptIds([{ role: "user", content: `Question ${index}` }]);
      return continuation({ promptIds: prompt, maxTokens: 10_000 }).ids.length;
    });
    const mean = lengths.reduce((sum, length) => sum + length) / lengths.length;

    expect(mean).toBeGreaterThan(120);
    expect(mean).toBeLessThan(190);
    expect(Math.min(...lengths)).toBeLessThan(25);
    expect(Math.max(...lengths)).toBeGreaterThan(500);
  });

  test("does not end before min_tokens, nor at all when told to ignore the end", () => {
    const prompt = chatPromptIds([{ role: "user", content: "Hello" }]);
    const natural = continuation({ promptIds: prompt, maxTokens: 10_000 }).ids.length;
    const longer = { promptIds: prompt, maxTokens: natural + 200 };

    expect(continuation({ ...longer, minTokens: natural + 1 }).ids.length).toBeGreaterThan(natural);
    expect(continuation({ ...longer, ignoreEos: true }).ids).not.toContain(SPECIAL.end);
  });
});

describe("a chat response", () => {
  test("begins like a sentence and ends with one", () => {
    for (let index = 0; index < 50; index++) {
      const messages = [{ role: "user", content: `Tell me about ${index}` }];
      expect(expectedChatText(messages, { maxTokens: 10_000 }).text).toMatch(
        /^[A-Z].*(?:\.|\. \p{Extended_Pictographic}\uFE0F?)$/su,
      );
    }
  });

  test("has characters that span several tokens", () => {
    const { ids, text: said } = expectedText({ promptIds: [1], maxTokens: 3_000, ignoreEos: true });

    expect(said).toMatch(/—/);
    expect(said).toMatch(/[éçïñ]/);
    expect(said).toMatch(/🌊|🚢|🌿/u);
    expect(ids.filter((id) => id > 0x7f && id < 0x100).length).toBeGreaterThan(20);
  });

  test("reads text parts as it reads text", () => {
    const parts = [{ type: "text", text: "Hello" }];

    expect(chatPromptIds([{ role: "user", content: parts }])).toEqual(
      chatPromptIds([{ role: "user", content: "Hello" }]),
    );
  });
});
