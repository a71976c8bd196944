import { Headrace } from "@headrace/client";
import type { Submit } from "@headrace/contract";
import { expectedChatText } from "@headrace/engine-sim/language";
import { describe, expect, test } from "vitest";

import { API_KEY, Platform } from "../platform.ts";

const chat = (content: string, fields: Readonly<Record<string, unknown>> = {}): Submit => ({
  endpoint: "/v1/chat/completions",
  request: {
    model: "headrace-sim-8b",
    messages: [{ role: "user", content }],
    max_tokens: 40,
    ...fields,
  },
});

const expected = (content: string, maxTokens = 40): string =>
  expectedChatText([{ role: "user", content }], { maxTokens }).text;

const textOf = (job: { result: Record<string, unknown> | null }): unknown =>
  JSON.parse(JSON.stringify(job.result)).choices[0].message.content;

const troubleTest = test
  .extend("platform", async ({}, { onCleanup }) => {
    const platform = await Platform.start({
      engineFlags: ["--step-ms", "10", "--max-num-seqs", "4"],
      worker: { WORKER_INITIAL_IN_FLIGHT: "4", WORKER_MAX_IN_FLIGHT: "4" },
    });
    onCleanup(() => platform.stop());
    return platform;
  })
  .extend("client", ({ platform }) => new Headrace({ url: platform.url, apiKey: API_KEY }));

describe("the engine", () => {
  troubleTest("may be full: jobs go back, and burn no attempt", async ({ client, platform }) => {
    await fetch(new URL("/sim/faults", platform.engine.url), {
      method: "POST",
      body: JSON.stringify({ kind: "503", times: 3 }),
    });

    const { id } = await client.submit(chat("Full"));
    const job = await client.wait(id);

    expect(job).toMatchObject({ status: "completed", attempts: 1 });
    expect(textOf(job)).toBe(expected("Full"));
  });

  troubleTest.for(["500", "cut", "garbage"])(
    "may break off (%s): the job is tried again",
    async (kind, { client }) => {
      const fault = { kind, after_tokens: 5, times: 1, key: `once-${kind}` };

      const { id } = await client.submit(chat("Again", { headrace_fault: fault }));
      const events = await Array.fromAsync(client.events(id));
      const job = await client.wait(id);

      expect(job).toMatchObject({ status: "completed", attempts: 2 });
      expect(textOf(job)).toBe(expected("Again"));
      expect(events.findLast(({ event }) => event.type === "attempt.started")).toMatchObject({
        event: { epoch: 2, reason: "engine_error" },
      });
    },
  );

  troubleTest("may never recover: the job fails after three attempts", async ({ client }) => {
    const fault = { kind: "500", times: 10, key: "ever" };

    const { id } = await client.submit(chat("Never", { headrace_fault: fault }));

    expect(await client.wait(id)).toMatchObject({
      status: "failed",
      attempts: 3,
      error: { code: "engine_failed" },
    });
  });
});

describe("a deadline", () => {
  troubleTest(
    "ends a job that did not start, at no cost to the GPU",
    async ({ client, platform }) => {
      const running = await Promise.all(
        Array.from({ length: 4 }, (_, at) =>
          client.submit(chat(`Busy ${at}`, { max_tokens: 4_000, ignore_eos: true })),
        ),
      );
      await expect.poll(() => platform.engineCounts()).toMatchObject({ running: 4 });
      const before = await platform.engineCounts();

      const { id } = await client.submit({ ...chat("Late"), deadline_seconds: 1 });
      const job = await client.wait(id);

      expect(job).toMatchObject({
        status: "expired",
        attempts: 0,
        error: { code: "deadline_exceeded" },
      });
      expect((await platform.engineCounts()).started).toBe(before.started);
      await Promise.all(running.map((busy) => client.cancel(busy.id)));
    },
    15_000,
  );
});

describe("a queue", () => {
  troubleTest("tells each job where it stands", async ({ client }) => {
    const blocking = await Promise.all(
      Array.from({ length: 4 }, () =>
        client.submit(chat("Block", { max_tokens: 4_000, ignore_eos: true })),
      ),
    );
    await expect
      .poll(async () => (await client.get(blocking[3]?.id ?? "")).status)
      .toBe("in_progress");

    const waiting = [];
    for (const name of ["first", "second", "third"]) waiting.push(await client.submit(chat(name)));
    const positions = await Promise.all(waiting.map(async ({ id }) => client.get(id)));

    expect(positions.map(({ queue_position: position }) => position)).toEqual([0, 1, 2]);
    expect(positions.map(({ waiting_reason: reason }) => reason)).toEqual(
      positions.map(() => "backlog"),
    );
    expect(positions[2]?.eta_seconds).toBeGreaterThan(positions[0]?.eta_seconds ?? Infinity);
    await Promise.all([...blocking, ...waiting].map(({ id }) => client.cancel(id)));
  });
});

describe("a worker", () => {
  troubleTest(
    "that is told to stop hands its jobs to another",
    async ({ client, platform }) => {
      const [first] = platform.workers;
      const { id } = await client.submit(chat("Moving", { max_tokens: 300, ignore_eos: true }));
      for await (const { event } of client.events(id)) if (event.type === "output.delta") break;
      await platform.startWorker();

      const stoppedAt = performance.now();
      expect(await first?.stop()).toBe(0);
      const stopMs = performance.now() - stoppedAt;
      const job = await client.wait(id);

      expect(stopMs).toBeLessThan(2_000);
      expect(job).toMatchObject({ status: "completed", attempts: 1 });
      expect(textOf(job)).toBe(
        expectedChatText([{ role: "user", content: "Moving" }], { maxTokens: 300, ignoreEos: true })
          .text,
      );
    },
    30_000,
  );

  troubleTest(
    "that is killed loses no job",
    async ({ client, platform }) => {
      const [first] = platform.workers;
      const { id } = await client.submit(chat("Survivor", { max_tokens: 300, ignore_eos: true }));
      for await (const { event } of client.events(id)) if (event.type === "output.delta") break;
      await platform.startWorker();

      first?.signal("SIGKILL");
      const killedAt = performance.now();
      const events = await Array.fromAsync(client.events(id));
      const job = await client.wait(id);

      expect(events.map(({ event }) => event.type)).toContain("attempt.started");
      expect(job).toMatchObject({ status: "completed", attempts: 2 });
      expect(performance.now() - killedAt).toBeLessThan(25_000 + 5_000);
    },
    60_000,
  );
});

describe("an ingress", () => {
  troubleTest(
    "that is killed loses no reader: another goes on",
    async ({ client, platform }) => {
      const { id } = await client.submit(chat("Elsewhere", { max_tokens: 100, ignore_eos: true }));
      let cursor: string | null = null;
      let seen = 0;
      for await (const item of client.events(id)) {
        cursor = item.id ?? cursor;
        if (item.event.type === "output.delta" && ++seen === 5) break;
      }
      const other = await platform.startIngress();
      platform.ingress.signal("SIGKILL");

      const there = new Headrace({ url: other.url, apiKey: API_KEY });
      const rest = await Array.fromAsync(there.events(id, { startingAfter: cursor ?? "" }));
      const whole = await Array.fromAsync(there.events(id));

      const ids = whole.map((item) => item.id);
      expect(rest.map((item) => item.id)).toEqual(ids.slice(ids.indexOf(cursor) + 1));
      expect(rest.at(-1)?.event.type).toBe("job.completed");
    },
    30_000,
  );
});

describe("Redis", () => {
  troubleTest(
    "may go away: 503 within 2 s, and back to work without a restart",
    async ({ client, platform }) => {
      const { id } = await client.submit(chat("Before"));
      await client.wait(id);
      await platform.redis.kill();

      const askedAt = performance.now();
      const refused = await platform.call("/v1/jobs", {
        method: "POST",
        body: JSON.stringify(chat("During")),
      });
      const waitedMs = performance.now() - askedAt;
      const ready = await fetch(new URL("/readyz", platform.url));
      await platform.redis.restart();
      await platform.ingress.whenReady("/readyz");
      const after = await client.wait((await client.submit(chat("After"))).id);

      expect(refused.status).toBe(503);
      expect(await refused.json()).toMatchObject({ error: { code: "queue_unavailable" } });
      expect(waitedMs).toBeLessThan(2_000);
      expect(ready.status).toBe(503);
      expect(textOf(after)).toBe(expected("After"));
      expect((await client.get(id)).status).toBe("completed");
    },
    30_000,
  );

  troubleTest(
    "may freeze: 503 within 2 s all the same",
    async ({ client, platform }) => {
      platform.redis.signal("SIGSTOP");

      const askedAt = performance.now();
      const refused = await platform.call("/v1/jobs", {
        method: "POST",
        body: JSON.stringify(chat("Frozen")),
      });
      const waitedMs = performance.now() - askedAt;
      platform.redis.signal("SIGCONT");
      await platform.ingress.whenReady("/readyz");

      expect(refused.status).toBe(503);
      expect(waitedMs).toBeLessThan(2_000);
      expect((await client.wait((await client.submit(chat("Thawed"))).id)).status).toBe(
        "completed",
      );
    },
    30_000,
  );
});

describe("a worker without Redis", () => {
  troubleTest(
    "stops when it is told to, idle or at work",
    async ({ client, platform }) => {
      const { id } = await client.submit(chat("Stranded", { max_tokens: 4_000, ignore_eos: true }));
      for await (const { event } of client.events(id)) if (event.type === "output.delta") break;
      const [busy] = platform.workers;
      const idle = await platform.startWorker();
      await platform.redis.kill();

      const toldAt = performance.now();
      const codes = await Promise.all([busy?.stop(), idle.stop()]);

      expect(codes).toEqual([0, 0]);
      // A second to drain, two to hand back, one to close, three until the last command is given up.
      expect(performance.now() - toldAt).toBeLessThan(10_000);
    },
    30_000,
  );
});

describe("logs", () => {
  troubleTest("hold neither prompts nor outputs nor keys", async ({ client, platform }) => {
    const canary = "zx-canary-prompt";
    const fault = { kind: "500", times: 1, key: "canary" };
    const { id } = await client.submit(chat(canary, { headrace_fault: fault }));
    const job = await client.wait(id);
    await platform.call("/v1/jobs", { method: "POST", body: `{"${canary}": "${canary}"` });
    await platform.call("/v1/jobs", { method: "POST", body: JSON.stringify({ [canary]: canary }) });

    const said = platform.services
      .filter(({ name }) => name !== "engine-sim")
      .flatMap(({ lines }) => lines);
    const opening = String(textOf(job)).slice(0, 25);

    expect(said.length).toBeGreaterThan(2);
    expect(
      said.filter((line) => [canary, API_KEY, opening].some((secret) => line.includes(secret))),
    ).toEqual([]);
  });
});
