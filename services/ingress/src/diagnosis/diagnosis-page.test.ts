import { diagnosisSchema, type Diagnosis } from "@headrace/contract";
import { RedisServer } from "@headrace/testkit";
import { expect, onTestFinished, test as plainTest } from "vitest";

import { Ingress } from "../ingress.ts";
import { ingressTest as test, testConfig } from "../testing/ingress-test.ts";
import { LogRecorder } from "../testing/log-recorder.ts";

const PATH = "/internal/diagnosis";

async function readDiagnosis(port: number): Promise<Diagnosis> {
  const response = await fetch(`http://127.0.0.1:${port}${PATH}`);
  return diagnosisSchema.parse(await response.json());
}

test("The operations port tells what is wrong", async ({ ingress, client, worker }) => {
  const well = await readDiagnosis(ingress.operationsPort);
  await worker.close();
  await client.submit();
  const unwell = await readDiagnosis(ingress.operationsPort);

  expect(well).toMatchObject({ object: "diagnosis", durability: "redis", is_well: true });
  expect(unwell.is_well).toBe(false);
  expect(unwell.findings.filter(({ level }) => level !== "ok")).toMatchObject([
    {
      check: "workers",
      level: "fault",
      found: expect.stringContaining("1 job of acme/test-model"),
    },
  ]);
});

test("The API's port has it only as part of a whole on one machine, for that machine", async ({
  ingress,
  redisServer,
  logs,
}) => {
  const embedded = await Ingress.start({
    ...testConfig(redisServer.url, logs),
    metricsPeers: ["http://127.0.0.1:1/metrics"],
  });
  onTestFinished(() => embedded.close());
  const url = `http://127.0.0.1:${embedded.port}${PATH}`;
  const [alone, forwarded] = await Promise.all([
    fetch(`http://127.0.0.1:${ingress.port}${PATH}`),
    fetch(url, { headers: { "x-forwarded-for": "10.0.0.1" } }),
  ]);

  expect([alone.status, forwarded.status]).toEqual([404, 404]);
  expect((await readDiagnosis(embedded.port)).is_well).toBe(true);
});

plainTest("A Redis that is away is a finding, not a failure", async () => {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const ingress = await Ingress.start(testConfig(redis.url, new LogRecorder()));
  onTestFinished(() => ingress.close());
  await redis.kill();

  // The connection is lost first, and refused from the next try on.
  await expect
    .poll(() => readDiagnosis(ingress.operationsPort), { timeout: 5_000 })
    .toMatchObject({
      is_well: false,
      findings: [
        {
          check: "redis",
          level: "fault",
          found: "Redis does not answer: the connection is refused",
        },
      ],
    });
});
