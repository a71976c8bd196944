import type { BatchBroker } from "@headrace/broker";
import type { ObjectStore } from "@headrace/storage";

const PAGE = 100;
/** Pages in one pass: what is left comes with the next. */
const MOST_PAGES = 50;

/** What sweeping works with. */
export interface SweepTools {
  readonly broker: BatchBroker;
  readonly objects: ObjectStore;
}

/**
 * Remove files whose time is over, and objects that nobody needs. Any number of processes may do it
 * side by side: removing something twice removes it once.
 *
 * @returns how many objects, or folders of them, were removed
 * @throws PlatformError `queue_unavailable`, `storage_unavailable`: what is left comes with the next pass
 */
export async function sweepRemovals({ broker, objects }: SweepTools): Promise<number> {
  const { removals } = broker;
  let expired = PAGE;
  for (let pages = 0; expired === PAGE && pages < MOST_PAGES; pages += 1) {
    expired = await removals.expireFiles(PAGE);
  }
  let count = 0;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const due = await removals.listDue(PAGE);
    for (const object of due) {
      if (object.endsWith("/")) await removeFolder(objects, object);
      else await objects.delete(object);
      await removals.forget(object);
    }
    count += due.length;
    if (due.length < PAGE) return count;
  }
  return count;
}

async function removeFolder(objects: ObjectStore, prefix: string): Promise<void> {
  let hasMore = true;
  while (hasMore) {
    const page = await objects.list(prefix, { limit: PAGE });
    for (const { key } of page.objects) await objects.delete(key);
    ({ hasMore } = page);
  }
}
