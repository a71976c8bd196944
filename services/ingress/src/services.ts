import type { IngressBroker } from "@headrace/broker";
import type { Durability } from "@headrace/contract";
import type { AddressPolicy } from "@headrace/receivers";
import type { Metrics } from "@headrace/runtime";

import type { ContentFilter } from "./content-filter/content-filter.ts";
import type { Events } from "./events.ts";
import type { FileStore } from "./files/file-store.ts";
import type { OpenCalls } from "./open-calls.ts";
import type { Patience, Readers } from "./readers.ts";
import type { TenantTurns } from "./tenant-turns.ts";

/** What the operator reckons GPUs to cost. */
export interface Pricing {
  /** Of one GPU. */
  readonly gpuHourPrice: number;
  /** What prices are in; null where nobody has said. */
  readonly currency: string | null;
}

/** What the routes work with. */
export interface Services {
  readonly broker: IngressBroker;
  readonly readers: Readers;
  readonly events: Events;
  readonly openCalls: OpenCalls;
  readonly metrics: Metrics;
  readonly patience: Patience;
  /** Turns of each tenant at reading what may be large, or take many looks. */
  readonly reads: TenantTurns;
  readonly bodyLimitBytes: number;
  readonly fileStore: FileStore;
  readonly durability: Durability;
  readonly pricing: Pricing;
  /** Judges where webhooks may be sent, as whoever sends them does. */
  readonly receivers: AddressPolicy;
  /** The model of calls that name none; null leaves that to how many there are. */
  readonly defaultModel: string | null;
  /** Null where prompts are not reviewed. */
  readonly contentFilter: ContentFilter | null;
}
