import { fileURLToPath } from "node:url";

import { FolderObjects } from "./folder.ts";
import type { ObjectStore } from "./objects.ts";

/**
 * Open the storage that a URL names: `file:///path` is a folder, which is made where there is none.
 *
 * @throws RangeError for any other URL; PlatformError `storage_unavailable` when it cannot be used
 */
export async function openObjects(url: string): Promise<ObjectStore> {
  const parsed = URL.parse(url);
  if (parsed?.protocol !== "file:") {
    throw new RangeError("STORAGE_URL: expected file:///path");
  }
  return FolderObjects.open(fileURLToPath(parsed));
}
