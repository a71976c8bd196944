/** Text that is HTML already, as opposed to text that must be escaped to become it. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | readonly Html[];

/**
 * Write HTML with values in it.
 *
 * Strings are escaped, and then what stands between backticks is set as code; HTML and lists of it
 * are taken as they are.
 */
export function html(pieces: TemplateStringsArray, ...parts: readonly Part[]): Html {
  let text = pieces[0] ?? "";
  parts.forEach((part, at) => {
    text += render(part) + (pieces[at + 1] ?? "");
  });
  return new Html(text);
}

function render(part: Part): string {
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map(({ text }) => text).join("\n");
  return escape(String(part)).replaceAll(/`([^`]*)`/g, "<code>$1</code>");
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
