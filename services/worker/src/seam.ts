import type { WrittenOutput } from "@headrace/broker";
import { choiceDeltaSchema, type ChoiceDelta, type JobSpec } from "@headrace/contract";
import { z } from "zod";

import { limitsSchema, stopsOf } from "./limits.ts";

/** Where an attempt goes on: what earlier ones wrote, as far as it can stand. */
export interface Seam {
  readonly promptIds: readonly number[];
  /** Ids of the output, less those that only begin a character. */
  readonly ids: readonly number[];
  /** The text of the ids. */
  readonly text: string;
  /** How much of the text readers have. */
  readonly shownLength: number;
  /** Why the output ended, where it was whole: all that is left is to end the job. */
  readonly finishReason: string | null;
}

/** What was written cannot be gone on from exactly: the job starts over, or fails. */
export class CannotContinue extends Error {
  override readonly name = "CannotContinue";
}

/** Spells ids in text; special tokens by name, what is no whole character as U+FFFD. */
export type Detokenize = (ids: readonly number[]) => Promise<string>;

/** A character has at most four bytes, so at most three tokens can begin it and not end it. */
const MOST_PARTIAL_TOKENS = 3;
const REPLACEMENT = "\uFFFD";

/**
 * Find where the next attempt goes on.
 *
 * Ids run ahead of text: an engine holds back what may begin a stop string, and a character until it
 * is whole. So the ids are spelled anew, and what readers have must be the beginning of that. Ids
 * that only begin a character are given up, since an engine would take it for the prompt's, and
 * say nothing of it.
 *
 * @throws CannotContinue when readers have no text, or the ids do not spell what they have
 */
export async function findSeam(
  written: WrittenOutput,
  detokenize: Detokenize,
  request: JobSpec["request"],
): Promise<Seam> {
  const { promptIds } = written;
  const { shown, finishReason, hasReasoning } = readShown(written.deltas);
  if (finishReason !== null) {
    return { promptIds, ids: written.ids, text: shown, shownLength: shown.length, finishReason };
  }
  if (shown === "") {
    // What stands before any text may be what a parser takes out of it: `<think>`, a header. Only the
    // text that follows would tell.
    throw new CannotContinue(hasReasoning ? "it was still reasoning" : "nothing was shown");
  }
  if (hasReasoning && stopsOf(limitsSchema.parse(request)).length > 0) {
    // Where its text begins, only the engine's parser knows; so nobody knows how much is held back.
    throw new CannotContinue("text may be held back behind its reasoning");
  }
  const { ids, text } = await spellWhole(written, shown, detokenize);
  if (request["return_token_ids"] === true && ids.length < written.ids.length) {
    throw new CannotContinue("readers have ids of a character that is not whole");
  }
  if (hasReasoning) {
    // What the engine's parser left out stands before it, and nothing is held back behind it.
    if (!text.endsWith(shown)) throw new CannotContinue("it was still reasoning");
    return { promptIds, ids, text: shown, shownLength: shown.length, finishReason };
  }
  if (!text.startsWith(shown)) throw new CannotContinue("the ids do not spell what was shown");
  return { promptIds, ids, text, shownLength: shown.length, finishReason };
}

/** What readers have. */
interface Shown {
  readonly shown: string;
  readonly finishReason: string | null;
  readonly hasReasoning: boolean;
}

const deltasSchema = z.array(choiceDeltaSchema);
const REASONING = ["reasoning", "reasoning_content"];
/** What a delta may say for its text to be all that it says. */
const PLAIN: ReadonlySet<string> = new Set(["role", "content", ...REASONING]);

function readShown(deltas: readonly string[]): Shown {
  let shown = "";
  let finishReason: string | null = null;
  let hasReasoning = false;
  for (const data of deltas) {
    for (const choice of deltasSchema.parse(JSON.parse(data))) {
      const delta = choice.delta ?? {};
      if (choice.index !== 0 || !isPlain(delta)) throw new CannotContinue("it said more than text");
      shown += textOf(choice);
      finishReason ??= choice.finish_reason || null;
      hasReasoning ||= REASONING.some((name) => isSaid(delta[name]));
    }
  }
  return { shown, finishReason, hasReasoning };
}

function textOf({ text, delta }: ChoiceDelta): string {
  const content = delta?.["content"];
  return text ?? (typeof content === "string" ? content : "");
}

function isPlain(delta: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(delta).every(([name, value]) => PLAIN.has(name) || !isSaid(value));
}

function isSaid(value: unknown): boolean {
  return value !== null && value !== undefined && value !== "";
}

/** Spell the ids, less those at the end that only begin a character. */
async function spellWhole(
  { promptIds, ids: all }: WrittenOutput,
  shown: string,
  detokenize: Detokenize,
): Promise<{ readonly ids: readonly number[]; readonly text: string }> {
  // Some tokenizers drop a space at the beginning of what they spell, so it begins in the prompt.
  const prompt = promptIds.slice(-1);
  const spelledPrompt = await detokenize(prompt);
  const spell = async (ids: readonly number[]): Promise<string> => {
    const text = await detokenize([...prompt, ...ids]);
    if (text.startsWith(spelledPrompt)) return text.slice(spelledPrompt.length);
    throw new CannotContinue("the ids do not spell the prompt");
  };
  const spelled = await spell(all);
  if (spelled === shown || !spelled.endsWith(REPLACEMENT)) return { ids: all, text: spelled };
  for (let partial = 1; partial <= MOST_PARTIAL_TOKENS && partial <= all.length; partial += 1) {
    const ids = all.slice(0, -partial);
    const text = await spell(ids);
    if (!text.endsWith(REPLACEMENT)) return { ids, text };
  }
  // They begin no character: the engine said so as well.
  return { ids: all, text: spelled };
}
