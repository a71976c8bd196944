import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { nullWhereMissing } from "./file-error.ts";
import { isKeyPart } from "./object-key.ts";

interface Selection {
  readonly root: string;
  readonly prefix: string;
  /** Less than every key where there is none to begin after. */
  readonly after: string;
}

/**
 * Go through the keys of the files in a folder, in order, looking only into folders that may hold some. A
 * folder's names are in memory while it is gone through.
 *
 * @yields each key once
 */
export async function* keysIn(selection: Selection): AsyncGenerator<string, void, void> {
  const { prefix } = selection;
  yield* keysBelow(prefix.slice(0, prefix.lastIndexOf("/") + 1), selection);
}

// The folder is empty, or has a slash at its end.
async function* keysBelow(
  folder: string,
  { root, prefix, after }: Selection,
): AsyncGenerator<string, void, void> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(
    nullWhereMissing,
  );
  const names = (entries ?? [])
    .filter((entry) => isKeyPart(entry.name) && (entry.isFile() || entry.isDirectory()))
    // With its slash a folder stands where the keys in it do: "a-b", "a/b", "ab".
    .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? "/" : ""}`)
    .filter((name) => name.startsWith(prefix) || prefix.startsWith(name))
    .toSorted(byBytes);
  for (const name of names) {
    if (!name.endsWith("/")) {
      if (name > after) yield name;
    } else if (name > after || after.startsWith(name)) {
      yield* keysBelow(name, { root, prefix, after });
    }
  }
}

/** Keys are ASCII, so that their code units are their bytes. */
function byBytes(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
