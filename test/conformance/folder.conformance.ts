import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { openObjects } from "@headrace/storage";
import { describeObjectStore } from "@headrace/storage/testing";

describeObjectStore({
  name: "a folder",
  decidesRivals: true,
  async make() {
    const folder = await mkdtemp(join(tmpdir(), "headrace-objects-"));
    return {
      objects: await openObjects(pathToFileURL(folder).href),
      remove: () => rm(folder, { recursive: true, force: true }),
    };
  },
});
