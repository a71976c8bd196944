import { parseArgs } from "node:util";

const MOST_RUNS = 20;

/** What the command line asks for. */
export interface Options {
  /** File for the figures as JSON; null for none. */
  readonly json: string | null;
  /** Benchmarks to run, in the order they are known in. */
  readonly only: readonly string[];
  readonly runs: number;
  /** Folder for CPU profiles of ingress and worker; null for none. */
  readonly profile: string | null;
}

/** What is wrong with the command line, for its author. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Read the command line.
 *
 * @param known names of the benchmarks
 * @throws UsageError naming what was found and what is allowed
 */
export function readOptions(argv: readonly string[], known: readonly string[]): Options {
  const values = parse(argv);
  const asked = (values.only ?? []).flatMap((names) => names.split(","));
  const unknown = asked.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new UsageError(`--only ${unknown.join(",")}: expected some of ${known.join(", ")}`);
  }
  const runs = Number(values.runs ?? "1");
  if (!Number.isInteger(runs) || runs < 1 || runs > MOST_RUNS) {
    throw new UsageError(`--runs ${values.runs}: expected a whole number from 1 to ${MOST_RUNS}`);
  }
  return {
    json: values.json ?? null,
    only: known.filter((name) => asked.length === 0 || asked.includes(name)),
    runs,
    profile: values.profile ?? null,
  };
}

interface Values {
  readonly json?: string | undefined;
  readonly only?: readonly string[] | undefined;
  readonly runs?: string | undefined;
  readonly profile?: string | undefined;
}

function parse(argv: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        json: { type: "string" },
        only: { type: "string", multiple: true },
        runs: { type: "string" },
        profile: { type: "string" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
