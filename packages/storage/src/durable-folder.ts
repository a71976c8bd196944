import { link, mkdir, open, rename, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

import { codeOf, nullWhereMissing } from "./file-error.ts";

/** What a path that is a folder, or lies below a file, is answered with. */
const CLASHES: ReadonlySet<unknown> = new Set(["EISDIR", "ENOTDIR", "EEXIST", "ENOTEMPTY"]);
/** Others may remove an empty folder between its making and its use; not this often in a row. */
const MOST_MOVES = 16;

/** Make a folder that outlasts a crash. */
export async function makeFolder(path: string, mode?: number): Promise<void> {
  const first = await mkdir(path, { recursive: true, ...(mode === undefined ? {} : { mode }) });
  if (first !== undefined) await syncFolders(path, dirname(first));
}

/** A file, and where in a folder it belongs. */
export interface Move {
  readonly from: string;
  readonly root: string;
  readonly key: string;
}

/**
 * Move a whole, synced file to where it belongs, in one step that outlasts a crash.
 *
 * @returns false when `isNew` is asked for and there is one already
 * @throws RangeError when the key is a folder of another, or another's key one of its folders
 */
export async function moveIn(move: Move, isNew: boolean): Promise<boolean> {
  const path = join(move.root, move.key);
  for (let left = MOST_MOVES; ; left -= 1) {
    try {
      await mkdir(dirname(path), { recursive: true });
      // Unlike a rename, a link takes nobody's place.
      await (isNew ? link : rename)(move.from, path);
      break;
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOENT" && left > 1) continue;
      if (!CLASHES.has(code)) throw error;
      if (isNew && code === "EEXIST" && (await isFile(path))) return false;
      throw new RangeError(`the key ${move.key} and another's are a folder and a file`, {
        cause: error,
      });
    }
  }
  // All of them, since another process may have made them and not synced them yet.
  await syncFolders(dirname(path), move.root);
  return true;
}

/** Let a removal outlast a crash, and remove the folders that it left empty. */
export async function settleRemoval(root: string, key: string): Promise<void> {
  let folder = dirname(join(root, key));
  await syncFolder(folder);
  while (folder !== root) {
    const isGone = await rmdir(folder).then(
      () => true,
      () => false,
    );
    if (!isGone) return;
    folder = dirname(folder);
  }
}

/** Sync a folder and those above it, up to one of them. */
async function syncFolders(from: string, to: string): Promise<void> {
  for (let folder = from; ; folder = dirname(folder)) {
    await syncFolder(folder);
    if (folder === to) return;
  }
}

/** What is in a folder lasts once the folder does. One that is gone had nothing to keep. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(nullWhereMissing);
  if (folder === null) return;
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(nullWhereMissing))?.isFile() === true;
}
