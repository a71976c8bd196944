import { describe } from "vitest";

import { describeFinding } from "./contract-of-finding.ts";
import { describeListing } from "./contract-of-listing.ts";
import { describeReading } from "./contract-of-reading.ts";
import { describeStoring } from "./contract-of-storing.ts";
import { type MadeStore, storeTest } from "./store-test.ts";

export type { MadeStore } from "./store-test.ts";

/** Declare what every store promises, as tests of the stores that `make` makes, one for each test. */
export function describeObjectStore(name: string, make: () => Promise<MadeStore>): void {
  const test = storeTest(make);

  describe(`objects in ${name}`, () => {
    describeStoring(test);
    describeReading(test);
    describeListing(test);
    describeFinding(test);
  });
}
