import { createHash } from "node:crypto";

import { CommandFailure, systemCodeOf } from "../failure.ts";
import { CustomIds } from "./custom-ids.ts";
import {
  RowFault,
  settle,
  toRequestLine,
  type LineOptions,
  type RequestLine,
  type Settled,
} from "./request-line.ts";
import { UnreadableInput, type Row } from "./row.ts";
import { readRows, type InputFormat, type RowWord } from "./rows.ts";

/** Faults that are told: whoever has more has the same one many times. */
const MOST_FAULTS = 10;
/** What a shell expects of a command that was given something it cannot take. */
const BAD_INPUT = 2;

/** What is read, and how. */
export interface InputReading {
  readonly path: string;
  readonly format: InputFormat | undefined;
  readonly lines: LineOptions;
  /** Asked once, where neither command line nor input names a model. */
  readonly findModel: () => Promise<string>;
  /** Is handed each line in turn; the next is read once it has resolved. */
  readonly take: (line: RequestLine, settled: Settled) => Promise<void> | void;
  readonly signal: AbortSignal;
}

/** An input that was read from its start to its end, and has no fault. */
export interface ReadInput {
  readonly settled: Settled;
  readonly customIds: CustomIds;
  /** SHA-256 of the lines as they are uploaded. */
  readonly digest: string;
}

/**
 * Read an input, whatever it is written in, as lines of a batch. Holds a small part of it, and some
 * 30 bytes a line.
 *
 * @throws CommandFailure that names up to ten faults with their lines; the signal's reason
 */
export async function readRequests(reading: InputReading): Promise<ReadInput> {
  try {
    return await new Reader(reading).read();
  } catch (error) {
    if (error instanceof UnreadableInput) {
      throw toFailure(reading, [{ at: error.at, message: error.message }], "line");
    }
    const code = systemCodeOf(error);
    if (code !== null && FILE_FAULTS[code] !== undefined) {
      throw new CommandFailure(`${nameOf(reading)}: ${FILE_FAULTS[code]}`, {
        cause: error,
        exitCode: BAD_INPUT,
      });
    }
    throw error;
  }
}

interface Fault {
  readonly at: number | null;
  readonly message: string;
}

class Reader {
  readonly #reading: InputReading;
  readonly #customIds = new CustomIds();
  readonly #digest = createHash("sha256");
  readonly #faults: Fault[] = [];
  #settled: Settled | null = null;

  constructor(reading: InputReading) {
    this.#reading = reading;
  }

  async read(): Promise<ReadInput> {
    const { path, format, lines, signal } = this.#reading;
    const choose = (columns: readonly string[]): readonly string[] => chooseColumns(columns, lines);
    const { word, rows } = readRows({ path, format, choose, signal });
    for await (const row of rows) {
      signal.throwIfAborted();
      await this.#take(row);
      if (this.#faults.length > MOST_FAULTS) break;
    }
    if (this.#faults.length > 0) throw toFailure(this.#reading, this.#faults, word);
    if (this.#settled === null) throw new UnreadableInput(null, "there is no request in it");
    return {
      settled: this.#settled,
      customIds: this.#customIds,
      digest: this.#digest.digest("hex"),
    };
  }

  async #take(row: Row): Promise<void> {
    if ("fault" in row) {
      this.#faults.push({ at: row.at, message: row.fault });
      return;
    }
    const { lines, findModel, take } = this.#reading;
    this.#settled ??= await settle(row, lines, findModel);
    const line = this.#tryLine(row, this.#settled);
    if (line === null) return;
    this.#digest.update(line.text).update("\n");
    // What is faulty already is only looked at for further faults.
    if (this.#faults.length === 0) await take(line, this.#settled);
  }

  #tryLine(row: Exclude<Row, { fault: string }>, settled: Settled): RequestLine | null {
    try {
      const line = toRequestLine(row, this.#reading.lines, settled);
      const earlier = this.#customIds.add(line.customId);
      if (earlier === null) return line;
      throw new RowFault(
        `custom_id: ${JSON.stringify(line.customId)} is that of request ${earlier + 1}, too`,
      );
    } catch (error) {
      if (!(error instanceof RowFault)) throw error;
      this.#faults.push({ at: row.at, message: error.message });
      return null;
    }
  }
}

/** The columns that requests are made of. @throws UnreadableInput when one is not there */
function chooseColumns(columns: readonly string[], options: LineOptions): string[] {
  const { column, template, idColumn } = options;
  const named = [column, idColumn, ...(template?.fields ?? [])].filter(
    (name) => name !== undefined,
  );
  const missing = named.find((name) => !columns.includes(name));
  if (missing !== undefined) {
    throw new UnreadableInput(null, `no column ${missing}; there is ${columns.join(", ")}`);
  }
  const isPromptNamed = column !== undefined || template !== undefined;
  const implied = isPromptNamed ? ["custom_id"] : ["custom_id", "prompt"];
  const chosen = columns.filter((name) => named.includes(name) || implied.includes(name));
  // Of several that nobody names, the first row's fault lists them all.
  return isPromptNamed || chosen.includes("prompt") ? chosen : [...columns];
}

function toFailure(reading: InputReading, faults: readonly Fault[], word: RowWord): CommandFailure {
  const shown = faults
    .slice(0, MOST_FAULTS)
    .map(({ at, message }) => `  ${at === null ? "" : `${word} ${at}: `}${message}`);
  if (faults.length > MOST_FAULTS) shown.push("  and more");
  return new CommandFailure(
    `${nameOf(reading)} cannot be run, and nothing was sent:\n${shown.join("\n")}`,
    { exitCode: BAD_INPUT },
  );
}

function nameOf({ path }: InputReading): string {
  return path === "-" ? "standard input" : path;
}

/** What the system says of a file that cannot be read, in our words. */
const FILE_FAULTS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "it may not be read",
};
