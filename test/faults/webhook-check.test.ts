import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";

import type { SunkWebhook } from "../webhook-sink.ts";
import { findWebhookFaults } from "./webhook-check.ts";

const JOB = "job_abcdef_0123456789abcdef0123456789abcdef";
const SECRET = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
const OTHER_SECRET = `whsec_${Buffer.alloc(32, 2).toString("base64")}`;

function webhook({
  id = "evt_1",
  type = "job.completed",
  job = JOB,
  secret = SECRET,
} = {}): SunkWebhook {
  const body = JSON.stringify({ id, object: "event", type, created_at: 1, data: { id: job } });
  const now = new Date();
  return {
    body,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
      "webhook-signature": new Webhook(secret).sign(id, now, body),
    },
  };
}

const faultsOf = (...received: SunkWebhook[]): string[] =>
  findWebhookFaults(JOB, "completed", { received, secretOf: () => SECRET }).map(([fault]) => fault);

describe("the verifier", () => {
  test("finds nothing wrong with a job that is told of once, or again under the same id", () => {
    expect(faultsOf(webhook())).toEqual([]);
    expect(faultsOf(webhook(), webhook(), webhook({ job: "job_other", id: "evt_2" }))).toEqual([]);
  });

  test.for([
    ["nobody is told of", [], "untold"],
    ["only others are told of", [webhook({ job: "job_other" })], "untold"],
    ["is told of under two ids", [webhook(), webhook({ id: "evt_2" })], "webhook_ids"],
    ["is told of by somebody else", [webhook({ secret: OTHER_SECRET })], "forged_webhook"],
    [
      "is told of with another body",
      [{ ...webhook(), body: webhook().body.replace("1,", "2,") }],
      "forged_webhook",
    ],
    ["is told of wrongly", [webhook({ type: "job.failed" })], "wrong_webhook"],
  ] as const)("finds a job that %s", ([, received, fault]) => {
    expect(faultsOf(...received)).toEqual([fault]);
  });
});
