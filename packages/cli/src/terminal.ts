import { styleText } from "node:util";
import { basename, relative } from "node:path";

/** One of a process' outputs. */
export interface Output {
  write(text: string): void;
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
    command: commandOf(process.argv[1] ?? ""),
    flags: "",
  };
}

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => void stream.write(text),
    isTty: stream.isTTY,
    // Honours NO_COLOR and TERM.
    hasColour: stream.isTTY && stream.hasColors(),
    get columns() {
      // A terminal that does not know its size says 0.
      return stream.columns || DEFAULT_COLUMNS;
    },
  };
}

function commandOf(script: string): string {
  if (basename(script) !== "main.ts") return "headrace";
  const near = relative(process.cwd(), script);
  return `node ${near.length < script.length ? near : script}`;
}
