import { once } from "node:events";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";

import { quote } from "./shell.ts";

/** One of a process' outputs. */
export interface Output {
  write(text: string): void;
  /** Resolve once what was written is taken, so that no more is held than one piece. */
  drained(): Promise<void>;
  /** Whether a person looks at it, so that lines may be rewritten. */
  readonly isTty: boolean;
  readonly hasColour: boolean;
  /** Characters in a line. */
  readonly columns: number;
}

/** Where a command writes: what was asked for goes to `out`, all that is said about it to `err`. */
export interface Terminal {
  readonly out: Output;
  readonly err: Output;
  /** How the user starts this program, for hints that can be pasted. */
  readonly command: string;
  /** Flags that such a hint must repeat, each followed by a space. */
  readonly flags: string;
}

export type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan" | "blue" | "magenta";

/** Colour a text, if the output shows colours. */
export function paint(output: Output, style: Style, text: string): string {
  return output.hasColour ? styleText(style, text, { validateStream: false }) : text;
}

const DEFAULT_COLUMNS = 80;

/** The terminal, pipe or file this process was started with. */
export function processTerminal(): Terminal {
  // Whoever read our output has had enough (`| head`): nothing is left to do.
  process.stdout.on("error", () => process.exit(0));
  return {
    out: outputOf(process.stdout),
    err: outputOf(process.stderr),
    command: commandOf(process.cwd()),
    flags: "",
  };
}

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => void stream.write(text),
    drained: async () => {
      if (stream.writableNeedDrain) await once(stream, "drain");
    },
    isTty: stream.isTTY,
    // Honours NO_COLOR and TERM.
    hasColour: stream.isTTY && stream.hasColors(),
    get columns() {
      // A terminal that does not know its size says 0.
      return stream.columns || DEFAULT_COLUMNS;
    },
  };
}

/** The launcher that runs this program with a Node that can, as typed in `folder`. */
export function commandOf(folder: string): string {
  const launcher = fileURLToPath(new URL("../../../headrace", import.meta.url));
  const near = relative(folder, launcher);
  // A shell looks a name without a slash up in PATH.
  const path = near.includes("/") ? near : `./${near}`;
  return quote(path.length < launcher.length ? path : launcher);
}
