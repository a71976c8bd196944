import type { Output, Terminal } from "./terminal.ts";

/** An output that remembers what was written to it. */
export interface TestOutput extends Output {
  readonly text: string;
}

/** Make an output for a test: a file unless told otherwise. */
export function testOutput(traits: Partial<Output> = {}): TestOutput {
  let text = "";
  return {
    isTty: false,
    hasColour: false,
    columns: 80,
    drained: async () => {},
    ...traits,
    write: (more) => {
      text += more;
    },
    get text() {
      return text;
    },
  };
}

/** Make a terminal for a test. */
export function testTerminal(
  traits: Partial<Output> = {},
): Terminal & { readonly out: TestOutput; readonly err: TestOutput } {
  return { out: testOutput(traits), err: testOutput(traits), command: "headrace", flags: "" };
}
