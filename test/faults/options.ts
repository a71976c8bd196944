import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";

import { UsageError } from "../bench/options.ts";
import type { Size } from "./run.ts";

const MOST_SEED = 2 ** 32 - 1;

/** What the command line asks for. */
export interface Options {
  /** Draws every choice of every run. */
  readonly seed: number;
  /** Classes to run, in the order they are known in. */
  readonly only: readonly string[];
  readonly size: Size;
}

/**
 * Read the command line. Without a seed one is drawn.
 *
 * @param known names of the classes
 * @throws UsageError naming what was found and what is allowed
 */
export function readOptions(argv: readonly string[], known: readonly string[]): Options {
  const { seed, only = [], size = "full" } = parse(argv);
  const asked = only.flatMap((names) => names.split(","));
  const unknown = asked.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new UsageError(`--only ${unknown.join(",")}: expected some of ${known.join(", ")}`);
  }
  if (size !== "small" && size !== "full") {
    throw new UsageError(`--size ${size}: expected small or full`);
  }
  const number = seed === undefined ? randomInt(MOST_SEED) : Number(seed);
  if (!Number.isInteger(number) || number < 0 || number > MOST_SEED) {
    throw new UsageError(`--seed ${seed}: expected a whole number from 0 to ${MOST_SEED}`);
  }
  const names = known.filter((name) => asked.length === 0 || asked.includes(name));
  return { seed: number, only: names, size };
}

interface Values {
  readonly seed?: string | undefined;
  readonly only?: readonly string[] | undefined;
  readonly size?: string | undefined;
}

function parse(argv: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        seed: { type: "string" },
        only: { type: "string", multiple: true },
        size: { type: "string" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
