/**
 * How token ids stand beside output in the log: `1,2,3`. The first entry of an attempt says what
 * comes before its own: `<ids of the prompt>;` for a job's first, `@<count>;` for one that goes on
 * after so many ids. What comes after that count in earlier entries is void.
 */
const ENTRY = /^(?:(?<prompt>\d+(?:,\d+)*);|@(?<position>\d+);)?(?<ids>(?:\d+(?:,\d+)*)?)$/;

/** What comes before the first ids of an attempt. */
export type IdsBefore =
  | { readonly prompt: readonly number[] }
  /** So many ids of the output stand. */
  | { readonly position: number };

/** Spell the ids of one entry; `before` for the first of an attempt. */
export function writeTokenIds(ids: readonly number[], before: IdsBefore | null): string {
  const own = ids.join(",");
  if (before === null) return own;
  return "prompt" in before ? `${before.prompt.join(",")};${own}` : `@${before.position};${own}`;
}

/** The ids of one entry. */
export interface EntryIds {
  /** How many ids stand before these; null where the entry only carries on. */
  readonly position: number | null;
  readonly ids: readonly number[];
}

/** Read the ids of one entry. @returns null for what `writeTokenIds` did not spell */
export function readTokenIds(text: string): EntryIds | null {
  const groups = ENTRY.exec(text)?.groups;
  if (groups === undefined) return null;
  const position = groups["position"];
  return {
    position: position === undefined ? null : Number(position),
    ids: readIds(groups["ids"] ?? ""),
  };
}

/** Read a plain list of ids. */
export function readIds(text: string): number[] {
  return text === "" ? [] : text.split(",").map(Number);
}
