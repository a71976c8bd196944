import { newWebhookSecret, signWebhook, type WebhookEvent } from "@headrace/contract";
import { describe, expect, onTestFinished, test } from "vitest";

import { testOutput } from "./test-output.ts";
import { WebhookListener, type Arrival } from "./webhook-listener.ts";
import { renderArrival } from "./webhook-view.ts";

const SECRET = newWebhookSecret();
const EVENT: WebhookEvent = {
  id: "evt_1",
  object: "event",
  type: "job.completed",
  created_at: 1,
  data: { id: "job_1" },
};

async function listen(): Promise<{ listener: WebhookListener; arrivals: Arrival[] }> {
  const arrivals: Arrival[] = [];
  const listener = await WebhookListener.open({
    host: "127.0.0.1",
    port: 0,
    onArrival: (arrival) => arrivals.push(arrival),
  });
  onTestFinished(() => listener.close());
  listener.secret = SECRET;
  return { listener, arrivals };
}

async function send(url: string, secret = SECRET, body = JSON.stringify(EVENT)): Promise<number> {
  const timestamp = Math.floor(Date.now() / 1_000);
  const headers = {
    "webhook-id": EVENT.id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": await signWebhook({ id: EVENT.id, timestamp, body }, [secret]),
  };
  const response = await fetch(url, { method: "POST", headers, body });
  return response.status;
}

describe("the local receiver", () => {
  test("takes what is genuine, and tells what comes again", async () => {
    const { listener, arrivals } = await listen();

    const statuses = [await send(listener.url), await send(listener.url)];

    expect(statuses).toEqual([204, 204]);
    expect(arrivals).toEqual([
      { event: EVENT, isRepeat: false },
      { event: EVENT, isRepeat: true },
    ]);
  });

  test("refuses what is forged, unsigned, too long or no event, and says why", async () => {
    const { listener, arrivals } = await listen();

    const statuses = [
      await send(listener.url, newWebhookSecret()),
      (await fetch(listener.url)).status,
      await send(listener.url, SECRET, JSON.stringify({ ...EVENT, type: "job.started" })),
      await send(listener.url, SECRET, "x".repeat(70_000)),
      await send(listener.url, SECRET, "not JSON"),
    ];

    const faults = arrivals.map((arrival) => ("fault" in arrival ? arrival.fault : "none"));
    expect(statuses).toEqual([400, 400, 400, 400, 400]);
    expect(faults[0]).toContain("its signature is of another secret");
    expect(faults[1]).toContain("it lacks webhook-id");
    expect(faults[2]).toContain("no event that this client knows");
    expect(faults[3]).toContain("over 65536 bytes");
    expect(faults[4]).toContain("could not be read");
  });

  test("says which address it cannot have", async () => {
    const { listener } = await listen();
    const port = Number(new URL(listener.url).port);

    await expect(
      WebhookListener.open({ host: "127.0.0.1", port, onArrival: () => undefined }),
    ).rejects.toThrow(`cannot listen on 127.0.0.1, port ${port}: EADDRINUSE`);
  });
});

test("what came is written as one line", () => {
  const output = testOutput();

  expect(renderArrival({ event: EVENT, isRepeat: true }, output)).toMatch(
    /^\d\d:\d\d:\d\d ✓ job\.completed job_1 evt_1 \(again\)$/,
  );
  expect(renderArrival({ fault: "why" }, output)).toMatch(/ ✗ why$/);
});
