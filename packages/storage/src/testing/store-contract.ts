import { describe } from "vitest";

import { describeFinding } from "./contract-of-finding.ts";
import { describeListing } from "./contract-of-listing.ts";
import { describeReading } from "./contract-of-reading.ts";
import { describeRivals, describeStoring } from "./contract-of-storing.ts";
import { type MadeStore, storeTest } from "./store-test.ts";

/** A driver of stores. */
export interface StoreDriver {
  /** What it is called: "a folder". */
  readonly name: string;
  /** Whether of those who store at once where there is none, one alone may. */
  readonly decidesRivals: boolean;
  make(): Promise<MadeStore>;
}

/** Declare what every store promises, as tests of the stores that a driver makes, one for each test. */
export function describeObjectStore(driver: StoreDriver): void {
  const test = storeTest(() => driver.make());

  describe(`objects in ${driver.name}`, () => {
    describeStoring(test);
    if (driver.decidesRivals) describeRivals(test);
    describeReading(test);
    describeListing(test);
    describeFinding(test);
  });
}
