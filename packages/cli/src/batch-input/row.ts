/** What is read from one place of an input: a request's fields, or why there are none. */
export type Row =
  | {
      /** Where it stands: a line of the file, or a row of a table, from 1. */
      readonly at: number;
      readonly fields: Readonly<Record<string, unknown>>;
      /** The line as it came, where it was a line of JSON. */
      readonly text: string | null;
    }
  | { readonly at: number; readonly fault: string };

/** An input that cannot be read on from somewhere. The message says what is wrong there. */
export class UnreadableInput extends Error {
  override readonly name = "UnreadableInput";
  /** A line or row, from 1; null where the whole is not what it should be. */
  readonly at: number | null;

  constructor(at: number | null, message: string, options?: ErrorOptions) {
    super(message, options);
    this.at = at;
  }
}

/** The most that one request may be: what the server takes of one line, bytes. */
export const LARGEST_REQUEST_BYTES = 8 * 1_024 * 1_024;

/** Whether a value of JSON or of a table has fields. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
