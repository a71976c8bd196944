import { HeadraceError } from "@headrace/client";
import { expect, test } from "vitest";

import { describeApiError } from "./failure.ts";

test("says of a queue that is away nothing about what was accepted", () => {
  const error = new HeadraceError("the queue cannot be reached", {
    status: 503,
    code: "queue_unavailable",
    requestId: "req_1",
    retryable: true,
  });

  expect(describeApiError(error)).toBe(
    "the queue cannot be reached\nThe queue's Redis, or the replica it needs, is away: try again in a moment.\nRequest id: req_1",
  );
});
