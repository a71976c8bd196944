import { once } from "node:events";
import { createServer } from "node:http";

import { portOf } from "@headrace/runtime";
import { describe, expect, onTestFinished, test } from "vitest";

import { Ingress } from "./ingress.ts";
import { mergedMetrics } from "./metrics-page.ts";
import { readMetric } from "./testing/exposition.ts";
import { ingressTest, testConfig } from "./testing/ingress-test.ts";

const OWN = `# HELP a_total Help of a.
# TYPE a_total counter
a_total{process="x"} 1

# HELP h_seconds Help of h.
# TYPE h_seconds histogram
h_seconds_bucket{le="+Inf"} 1
h_seconds_sum 2
h_seconds_count 1
`;
const PEERS = `# HELP h_seconds Help of h.
# TYPE h_seconds histogram
h_seconds_bucket{le="+Inf"} 3
h_seconds_count 3
# TYPE b gauge
b 4
b{} 5
untyped 6
`;

/** A process that serves a metrics page. @returns the page's URL */
async function servePage(text: string, delayMs = 0): Promise<string> {
  const server = createServer((_request, response) => {
    setTimeout(() => response.end(text), delayMs);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${portOf(server)}/metrics`;
}

describe("a page of several processes", () => {
  test("has each family once, and tells the processes apart", async () => {
    const url = await servePage(PEERS);
    const { host } = new URL(url);

    await expect(mergedMetrics(OWN, [url])).resolves.toBe(`# HELP a_total Help of a.
# TYPE a_total counter
a_total{process="x"} 1
# HELP h_seconds Help of h.
# TYPE h_seconds histogram
h_seconds_bucket{le="+Inf"} 1
h_seconds_sum 2
h_seconds_count 1
h_seconds_bucket{instance="${host}",le="+Inf"} 3
h_seconds_count{instance="${host}"} 3
# TYPE b gauge
b{instance="${host}"} 4
b{instance="${host}"} 5
untyped{instance="${host}"} 6
`);
  });

  test("leaves out who does not answer within a second", async () => {
    const slow = await servePage("slow 1\n", 3_000);
    const startedAtMs = performance.now();
    const page = await mergedMetrics("own 1\n", [slow, "http://127.0.0.1:1/metrics"]);

    expect(page).toBe("own 1\n");
    expect(performance.now() - startedAtMs).toBeLessThan(2_000);
  });
});

describe("/metrics", () => {
  ingressTest("is served beside the API to local callers only", async ({ redisServer, logs }) => {
    const peer = await servePage("peers_total 7\n");
    const ingress = await Ingress.start({
      ...testConfig(redisServer.url, logs),
      metricsPeers: [peer],
    });
    onTestFinished(() => ingress.close());
    const url = `http://127.0.0.1:${ingress.port}/metrics`;
    const local = await fetch(url);
    const forwarded = await fetch(url, { headers: { "x-forwarded-for": "10.0.0.1" } });
    const text = await local.text();

    expect(local.status).toBe(200);
    expect(text).toContain("peers_total");
    expect(text).toContain("llm_active_requests");
    expect(forwarded.status).toBe(404);
  });

  ingressTest("has its series before the first request", async ({ ingress, client }) => {
    const before = await readMetric(
      ingress,
      'llm_requests_total{endpoint="/v1/jobs",status="202"}',
    );
    await client.submit();
    const after = await readMetric(ingress, 'llm_requests_total{endpoint="/v1/jobs",status="202"}');

    expect([before, after]).toEqual([0, 1]);
    await expect(readMetric(ingress, 'llm_errors_total{code="internal"}')).resolves.toBe(0);
    await expect(
      readMetric(ingress, 'headrace_sweep_repairs_total{repair="expired"}'),
    ).resolves.toBe(0);
    await expect(readMetric(ingress, "llm_active_requests")).resolves.toBe(0);
  });
});
