const HOLE = /\{\{\s*([^{}]*?)\s*\}\}/g;

/** A text with holes, `Classify: {{text}}`, for the fields of each row. */
export class Template {
  readonly #text: string;
  /** The fields that it wants, each once. */
  readonly fields: readonly string[];

  constructor(text: string) {
    this.#text = text;
    this.fields = [...new Set([...text.matchAll(HOLE)].map(([, field = ""]) => field))];
  }

  /** Fill the holes. A field that is null, as Parquet has them, is written as nothing. */
  fill(fields: Readonly<Record<string, unknown>>): string {
    return this.#text.replaceAll(HOLE, (_hole, field: string) => writeValue(fields[field]));
  }
}

/** Write a value of JSON, CSV or Parquet into a prompt. */
export function writeValue(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "bigint") return String(value);
  return JSON.stringify(value, (_name, part: unknown) =>
    typeof part === "bigint" ? String(part) : part,
  );
}
