import { randomBytes } from "node:crypto";

/** Texts that must not be found where they were not meant to go. */
export class Canaries {
  readonly #texts = new Map<string, string>();

  /** A new text that is found nowhere by chance. */
  make(kind: string): string {
    const text = `cnry-${kind}-${randomBytes(6).toString("hex")}`;
    this.#texts.set(text, kind);
    return text;
  }

  /** Watch for a text that was made elsewhere: a key, or what an engine said. */
  add(kind: string, text: string): void {
    if (text.length < 12)
      throw new TypeError(`a ${kind} of ${text.length} characters is no canary`);
    this.#texts.set(text, kind);
  }

  get count(): number {
    return this.#texts.size;
  }

  /** The lines that hold one, also where it was escaped on its way, with its kind before it. */
  findIn(lines: readonly string[]): string[] {
    return lines.flatMap((line) => {
      const read = [line, line.replaceAll("\\", ""), safelyDecoded(line)];
      const found = [...this.#texts].filter(([text]) => read.some((form) => form.includes(text)));
      return found.map(([, kind]) => `${kind}: ${line.slice(0, 500)}`);
    });
  }
}

function safelyDecoded(line: string): string {
  try {
    return decodeURIComponent(line);
  } catch {
    return line;
  }
}
