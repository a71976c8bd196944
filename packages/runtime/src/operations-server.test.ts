import { describe, expect, test } from "vitest";

import { Metrics } from "./metrics.ts";
import { OperationsServer } from "./operations-server.ts";

const operationsTest = test.extend("served", async ({}, { onCleanup }) => {
  const metrics = new Metrics("test");
  const state = { isReady: true };
  const server = await OperationsServer.listen({
    host: "127.0.0.1",
    port: 0,
    metrics,
    pages: {
      "/own": () => Promise.resolve({ it: "works" }),
      "/failing": () => Promise.reject(new Error("not now")),
    },
    assertReady: async () => {
      await Promise.resolve();
      if (!state.isReady) throw new Error("waiting", { cause: new Error("no engine") });
    },
  });
  onCleanup(() => server.close());
  const get = async (path: string): Promise<{ status: number; text: string }> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return { metrics, state, server, get };
});

describe("OperationsServer", () => {
  operationsTest("tells browsers to show its pages and no more", async ({ served }) => {
    const paths = ["/metrics", "/own", "/failing", "/nothing"];
    const answers = await Promise.all(
      paths.map((path) => fetch(`http://127.0.0.1:${served.server.port}${path}`)),
    );

    for (const { headers } of answers) {
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
      expect(headers.get("cache-control")).toBe("no-store");
    }
    for (const answer of answers) await answer.body?.cancel();
  });

  operationsTest("serves metrics, each with the process' name", async ({ served }) => {
    const jobs = served.metrics.counter("jobs_total", "Jobs", ["end"]);
    jobs.inc({ end: "completed" }, 3);
    served.metrics.gauge("window", "Window", () => 7);

    const { text } = await served.get("/metrics");

    expect(text).toContain('jobs_total{end="completed",process="test"} 3');
    expect(text).toContain('window{process="test"} 7');
    expect(text).toContain("process_cpu_seconds_total");
  });

  operationsTest("says why the process is not ready", async ({ served }) => {
    expect((await served.get("/readyz")).status).toBe(200);
    served.state.isReady = false;

    expect(await served.get("/readyz")).toEqual({ status: 503, text: "waiting: no engine\n" });
    expect((await served.get("/healthz")).status).toBe(200);
  });

  operationsTest("knows no other page but the process' own", async ({ served }) => {
    expect(JSON.parse((await served.get("/own")).text)).toEqual({ it: "works" });
    expect((await served.get("/failing")).status).toBe(503);
    expect(await served.get("/constructor")).toEqual({
      status: 404,
      text: "there is /metrics, /healthz, /readyz, /own, /failing\n",
    });
  });

  operationsTest("refuses a port that is taken", async ({ served }) => {
    const again = OperationsServer.listen({
      host: "127.0.0.1",
      port: served.server.port,
      metrics: served.metrics,
      assertReady: () => Promise.resolve(),
    });

    await expect(again).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});
