import { fileURLToPath } from "node:url";

import { FolderObjects } from "./folder.ts";
import type { ObjectStore } from "./objects.ts";
import { readS3Place } from "./s3-place.ts";

/**
 * Open the storage that a URL names: `file:///path` is a folder, which is made where there is none, and
 * `s3://bucket/prefix?endpoint=…&region=…&force_path_style=true` is S3, or what speaks like it, with the
 * credentials that the environment, a profile or a role gives.
 *
 * @throws RangeError for any other URL; PlatformError `storage_unavailable` when it cannot be used, but not
 * when S3 cannot be reached only now
 */
export async function openObjects(url: string): Promise<ObjectStore> {
  const parsed = URL.parse(url);
  if (parsed?.protocol === "file:") return FolderObjects.open(fileURLToPath(parsed));
  if (parsed?.protocol !== "s3:") {
    throw new RangeError("STORAGE_URL: expected file:///path or s3://bucket/prefix");
  }
  const place = readS3Place(parsed);
  // 30 MB of code that a folder does without.
  const { S3Objects } = await import("./s3.ts");
  return S3Objects.open(place);
}
