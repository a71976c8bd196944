import { modelCodeSchema, newJobId } from "@headrace/contract";
import { describe, expect, onTestFinished } from "vitest";

import { JobQueues } from "./job-queue.ts";
import { keys } from "./keys.ts";
import { brokerTest as test } from "./test-bench.ts";
import { UnwantedJobs } from "./unwanted-jobs.ts";

const code = modelCodeSchema.parse("4n9hn1");

describe("unwanted jobs", () => {
  test("are cancelled though one of them never can be", async ({
    ingress,
    redis,
    reports,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const report = (error: Error): void => void reports.push(error);
    const unwanted = new UnwantedJobs({ redis, queues: new JobQueues(redis, report) }, report);
    onTestFinished(() => unwanted.close());
    const broken = newJobId(code);
    await redis.set(keys.entry(broken), "no entry");
    const jobs = [await submit(), await submit()];

    for (const job of [broken, ...jobs]) {
      unwanted.remember({ job, version: "v1", attachedTo: null });
    }
    await unwanted.cancelAll();

    const { jobs: cancelled } = await ingress.listJobs("default", {
      status: "cancelled",
      model: null,
      limit: 10,
      after: null,
    });
    expect(cancelled.map(({ id }) => id).toSorted()).toEqual(jobs.toSorted());
    expect(reports.map(({ message }) => message)).toEqual([`${broken} cannot be cancelled`]);
  });

  test("are not remembered without bound, which is told once", ({ redis, reports }) => {
    const report = (error: Error): void => void reports.push(error);
    const unwanted = new UnwantedJobs({ redis, queues: new JobQueues(redis, report) }, report);
    onTestFinished(() => unwanted.close());

    for (let count = 0; count < 20_010; count += 1) {
      unwanted.remember({ job: newJobId(code), version: "v1", attachedTo: null });
    }

    expect(reports.map(({ message }) => message)).toEqual([
      "over 20000 jobs wait to be cancelled; others are left to run",
    ]);
  });
});
