import { test as base } from "vitest";

import type { ObjectStore } from "../objects.ts";

/** A store with nothing in it, and how to be rid of it. */
export interface MadeStore {
  readonly objects: ObjectStore;
  remove(): Promise<void>;
}

/** A vitest `test` that has `objects`, made anew for each. */
export type StoreTest = ReturnType<typeof storeTest>;

/** Make tests of the stores that `make` makes. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- vitest infers fixtures
export function storeTest(make: () => Promise<MadeStore>) {
  return base.extend("objects", async ({}, { onCleanup }) => {
    const made = await make();
    onCleanup(() => made.remove());
    return made.objects;
  });
}
