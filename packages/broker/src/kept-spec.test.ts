import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, MODEL } from "./test-bench.ts";

const ALL = { status: null, model: null, limit: 10, after: null };

describe("a job's large request", () => {
  test("is read by whoever runs the job or asks for it, and by nobody else", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit({
      request: { model: MODEL, messages: [{ role: "user", content: "x".repeat(20_000) }] },
    });
    const record = await ingress.getJob("default", job);
    const { spec } = await ingress.getWhole(record);
    // Whoever reads this stumbles over it.
    await redis.hset(keys.entry(job), "request", "{");

    const { jobs } = await ingress.listJobs("default", { ...ALL, model: record.spec.model });
    expect(jobs.map(({ id }) => id)).toEqual([job]);
    expect((await ingress.getJob("default", job)).spec).toEqual(record.spec);
    await expect(ingress.getWhole(record)).rejects.toMatchObject({ code: "queue_unavailable" });

    await redis.hset(keys.entry(job), "request", JSON.stringify(spec.request));
    worker.takeMore(1);
    const { attempt } = await worker.next();
    expect(attempt.spec.request).toEqual(spec.request);
    expect(record.spec).not.toHaveProperty("request");
  });

  test("is found where it is kept with the rest, as small ones are", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    expect(await redis.hexists(keys.entry(job), "request")).toBe(0);
    const { spec: now } = await ingress.getWhole(await ingress.getJob("default", job));
    const { model, ...spec } = now;

    const record = await ingress.getJob("default", job);
    expect(record.spec.model).toBe(model);
    expect((await ingress.getWhole(record)).spec).toEqual(now);
    worker.takeMore(1);
    const { attempt } = await worker.next();
    expect(attempt.spec).toEqual(spec);
  });
});
