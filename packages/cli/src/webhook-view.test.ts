import type { WebhookDelivery, WebhookEndpoint } from "@headrace/contract";
import { expect, test } from "vitest";

import { testOutput } from "./test-output.ts";
import { renderDeliveries, renderEndpoints } from "./webhook-view.ts";

const ENDPOINT: WebhookEndpoint = {
  id: "whe_1",
  object: "webhook_endpoint",
  name: "Ours",
  url: "https://receiver.example/",
  event_types: ["job.*", "batch.failed"],
  status: "enabled",
  disabled_reason: null,
  signing_secret_hint: "…abc=",
  old_secret_expires_at: null,
  created_at: 1,
  updated_at: 1,
};

const DELIVERY: WebhookDelivery = {
  id: "whd_1",
  object: "webhook_delivery",
  endpoint_id: "whe_1",
  url: null,
  event: {
    id: "evt_1",
    object: "event",
    type: "job.failed",
    created_at: 1,
    data: { id: "job_1" },
  },
  status: "failed",
  failure: "exhausted",
  created_at: 1_764_043_200,
  next_try_at: null,
  tries: [
    { at: 1, status_code: 500, error: null, seconds: 0.1 },
    { at: 2, status_code: null, error: "timeout", seconds: 15 },
  ],
};

test("endpoints are shown with what they are told of, and why they are not", () => {
  const lines = renderEndpoints(
    [ENDPOINT, { ...ENDPOINT, id: "whe_2", status: "disabled", disabled_reason: "gone" }],
    testOutput(),
  );

  expect(lines[1]).toBe("  whe_1  https://receiver.example/  job.*,batch.failed  enabled");
  expect(lines[2]).toContain("disabled: its receiver answered 410");
  expect(renderEndpoints([], testOutput())[0]).toContain("headrace webhooks create <url>");
});

test("deliveries are shown with what came of them", () => {
  const waiting = { ...DELIVERY, status: "pending" as const, failure: null, tries: [] };
  const [, failed, pending] = renderDeliveries([DELIVERY, waiting], testOutput());

  expect(failed).toMatch(/^ {2}whd_1 .* job\.failed {2}job_1 {2}exhausted {2}2, the last timeout$/);
  expect(pending).toMatch(/pending {4}none yet$/);
});
