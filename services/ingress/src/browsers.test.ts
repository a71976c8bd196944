import { hash } from "node:crypto";
import { connect } from "node:net";
import { text } from "node:stream/consumers";

import { describe, expect } from "vitest";

import { EXPOSED_HEADERS } from "./common-headers.ts";
import { Ingress } from "./ingress.ts";
import { allOperations } from "./reference/document.ts";
import { TestClient, type Answer } from "./testing/client.ts";
import { API_KEY, ingressTest, testConfig } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";

const APP = "https://app.example.com";
const DEV = "http://localhost:5173";
const OPERATIONS = allOperations({ hasMetrics: false });

/** As `ingressTest`, with pages of two origins let in. */
const test = ingressTest
  .extend("open", async ({ redisServer, ingress: _other, logs }, { onCleanup }) => {
    const config = { ...testConfig(redisServer.url, logs), corsOrigins: [APP, DEV] };
    const ingress = await Ingress.start(config);
    onCleanup(() => ingress.close());
    return ingress;
  })
  .extend("page", async ({ open }) => new TestClient(open.port, API_KEY));

const preflight = (
  client: TestClient,
  path: string,
  { origin = APP, headers = "authorization,content-type" } = {},
): Promise<Answer> =>
  client.call("OPTIONS", path, {
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": headers,
      authorization: "",
    },
  });

const expectHardened = (headers: Headers): void => {
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("content-security-policy")).toMatch(/default-src 'none'/);
  expect(headers.get("content-security-policy")).toMatch(/frame-ancestors 'none'/);
  expect(headers.get("referrer-policy")).toBe("no-referrer");
  expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
  expect(headers.get("cache-control")).toBe("no-store");
  expect(headers.get("strict-transport-security")).toBeNull();
};

describe("a page in a browser", () => {
  test("is let in from a listed origin, and told what it may send and read", async ({ page }) => {
    const answer = await preflight(page, "/v1/jobs", {
      headers: "authorization, Last-Event-ID, X-Stainless-Retry-Count, x-evil",
    });
    const allowed = answer.headers.get("access-control-allow-headers")?.split(", ");

    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe(APP);
    expect(answer.headers.get("access-control-allow-methods")).toBe("GET, POST, DELETE");
    expect(answer.headers.get("access-control-max-age")).toBe("7200");
    expect(answer.headers.get("vary")).toContain("origin");
    expect(allowed).toEqual(
      expect.arrayContaining([
        "authorization",
        "content-type",
        "idempotency-key",
        "last-event-id",
        "prefer",
        "x-headrace-deadline-seconds",
        "x-headrace-priority",
        "x-request-id",
        "x-stainless-retry-count",
      ]),
    );
    expect(allowed).not.toContain("x-evil");
  });

  test("may read every header that the reference names", async ({ page }) => {
    const answer = await page.call("GET", "/v1/models", { headers: { origin: DEV } });
    const exposed = answer.headers.get("access-control-expose-headers")?.split(", ");
    const named = OPERATIONS.flatMap(({ replies }) =>
      Object.values(replies).flatMap(({ headers = [] }) => headers),
    );

    expect(answer.headers.get("access-control-allow-origin")).toBe(DEV);
    expect(named).toContain("x-headrace-job-id");
    expect(exposed).toEqual(expect.arrayContaining(named));
    expect(exposed).toEqual([...EXPOSED_HEADERS]);
  });

  test("may read errors too, whatever they are", async ({ page }) => {
    const headers = { origin: APP };
    const answers = await Promise.all([
      page.call("GET", "/v1/nothing", { headers }),
      page.call("GET", "/v1/jobs/%ff", { headers }),
      page.call("GET", "/v1/jobs?limit=0", { headers }),
      page.call("DELETE", "/v1/jobs", { headers }),
      page.call("GET", "/v1/jobs", { headers: { ...headers, authorization: "Bearer wrong" } }),
    ]);

    expect(answers.map(({ status }) => status)).toEqual([404, 404, 400, 405, 401]);
    for (const { headers: answered } of answers) {
      expect(answered.get("access-control-allow-origin")).toBe(APP);
      expect(answered.get("access-control-expose-headers")).toContain("x-request-id");
      expect(answered.get("vary")).toBe("origin");
    }
  });

  test("may read streams", async ({ page, worker }) => {
    const job = await page.submit();
    const request = { model: MODEL, messages: [{ role: "user", content: "Hi" }], stream: true };
    const [events, stream] = await Promise.all([
      page.stream("GET", `/v1/jobs/${job}/events`, { headers: { origin: APP } }),
      page.stream("POST", "/v1/chat/completions", { body: request, headers: { origin: APP } }),
      ...[1, 2].map(async () => {
        const run = await worker.next();
        run.say("Hello");
        await run.complete();
      }),
    ]);

    for (const { response } of [events, stream]) {
      expect(response.status).toBe(200);
      expect(response.headers.get("access-control-allow-origin")).toBe(APP);
      expect(response.headers.get("vary")).toBe("origin");
    }
    await Promise.all([events.rest(), stream.rest()]);
  });

  test.for([
    "https://evil.example.com",
    "https://app.example.com.evil.org",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://APP.example.com",
    "https://app.example.com/",
    "null",
    "*",
  ])("finds no permission from %s", async (origin, { page }) => {
    const asked = await preflight(page, "/v1/jobs", { origin });
    const answered = await page.call("GET", "/v1/models", { headers: { origin } });

    expect(asked.status).toBe(401);
    for (const { headers } of [asked, answered]) {
      expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      expect(headers.get("vary")).toBe("origin");
    }
  });

  test("is never offered the use of cookies", async ({ page }) => {
    const answers = await Promise.all([
      preflight(page, "/v1/jobs"),
      page.call("GET", "/v1/models", { headers: { origin: APP } }),
    ]);

    expect(answers.map(({ headers }) => headers.get("access-control-allow-credentials"))).toEqual([
      null,
      null,
    ]);
  });

  test("finds no permission where no origin is listed", async ({ client }) => {
    const asked = await preflight(client, "/v1/jobs");
    const answered = await client.call("GET", "/v1/models", { headers: { origin: APP } });

    expect(asked.status).toBe(401);
    for (const { headers } of [asked, answered]) {
      expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      expect(headers.get("vary")).toBeNull();
    }
  });
});

describe("what a browser is told to keep from", () => {
  test.for(OPERATIONS)(
    "is told with every answer: $method $path",
    async ({ method, path }, { client }) => {
      const place = path.replaceAll(/[{}]/g, "");
      const answers = await Promise.all([
        client.call(method, place),
        client.call("PUT", place),
        client.call(method, place, { headers: { authorization: "Bearer wrong" } }),
      ]);

      for (const { headers } of answers) expectHardened(headers);
    },
  );

  test("is told with what is no route, and with what is no HTTP", async ({ client, ingress }) => {
    const missing = await client.call("GET", "/nothing/at/all");
    const socket = connect(ingress.port, "127.0.0.1");
    socket.write("NONSENSE\r\n\r\n");
    const answer = await text(socket);
    const [, ...lines] = answer.split("\r\n\r\n")[0]?.split("\r\n") ?? [];
    const headers = new Headers();
    for (const line of lines) headers.set(line.split(": ")[0] ?? "", line.split(": ")[1] ?? "");

    expectHardened(missing.headers);
    expect(answer).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
    expectHardened(headers);
  });

  test("may style the reference with the one style that it carries", async ({ client }) => {
    const { headers, text: page } = await client.call("GET", "/docs");
    const style = /<style>(.*)<\/style>/s.exec(page)?.[1] ?? "";

    expect(style).toContain("main {");
    expect(headers.get("content-security-policy")).toContain(
      `style-src 'sha256-${hash("sha256", style, "base64")}'`,
    );
    expect(page).not.toMatch(/ style=|<script|<link|<img/);
  });

  test("is to keep to TLS where the operator says that it is in front", async ({
    redisServer,
    worker: _registered,
    logs,
  }) => {
    const config = { ...testConfig(redisServer.url, logs), isBehindTls: true };
    const ingress = await Ingress.start(config);
    const client = new TestClient(ingress.port, API_KEY);
    const answers = [await client.call("GET", "/healthz"), await client.call("GET", "/nothing")];
    await ingress.close();

    for (const { headers } of answers) {
      expect(headers.get("strict-transport-security")).toBe("max-age=31536000");
    }
  });
});
