import type { BatchBroker } from "@headrace/broker";
import type { ObjectStore } from "@headrace/storage";

import type { BatcherEvents } from "./events.ts";

/** What all batches of a process are run with. */
export interface BatcherTools {
  readonly broker: BatchBroker;
  readonly objects: ObjectStore;
  readonly events: BatcherEvents;
  /** Lines that a batch may have. */
  readonly mostLines: number;
  /** Where input files are copied to. */
  readonly scratchFolder: string;
  /** Of an hour of one GPU; 0 = not known. */
  readonly gpuHourPrice: number;
}
