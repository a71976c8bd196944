import { describe, expect } from "vitest";

import { allOperations } from "./reference/document.ts";
import { TestClient } from "./testing/client.ts";
import { ingressTest as test, API_KEY } from "./testing/ingress-test.ts";
import { isOperators, TENANCY_CASES } from "./testing/tenancy-cases.ts";
import { MODEL } from "./testing/simulated-worker.ts";

const OPERATIONS = allOperations({ hasMetrics: false });
const CLOSED = OPERATIONS.filter(({ isOpen }) => isOpen !== true);
const OPEN = OPERATIONS.filter(({ isOpen }) => isOpen === true);

describe("every route", () => {
  test.for(CLOSED)("requires auth: $method $path", async ({ method, path }, { ingress }) => {
    const keys = [undefined, "Bearer wrong", `Basic ${API_KEY}`, "Bearer", `Bearer ${API_KEY}x`];
    const answers = await Promise.all(
      keys.map((authorization) =>
        fetch(`http://127.0.0.1:${ingress.port}${path}`, {
          method,
          headers: authorization === undefined ? {} : { authorization },
        }),
      ),
    );
    const texts = await Promise.all(answers.map((answer) => answer.text()));

    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401]);
    expect(answers[0]?.headers.get("www-authenticate")).toBe("Bearer");
    expect(new Set(texts).size).toBe(1);
    expect(JSON.parse(texts[0] ?? "")).toMatchObject({ error: { code: "api_key_invalid" } });
  });

  test.for(OPEN)("is open: $method $path", async ({ method, path }, { ingress }) => {
    const answer = await fetch(`http://127.0.0.1:${ingress.port}${path}`, { method });

    expect(answer.status).toBe(200);
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("x-powered-by")).toBeNull();
    await answer.body?.cancel();
  });

  test.for(OPERATIONS)(
    "is in the reference: $method $path",
    async ({ method, path }, { client }) => {
      const { body, status } = await client.call(method, path.replaceAll(/[{}]/g, ""));

      expect(body).not.toMatchObject({ error: { code: "route_not_found" } });
      expect(status).not.toBe(405);
    },
  );

  test.for(OPERATIONS)("names its methods to others: $path", async ({ path }, { client }) => {
    const answer = await client.call("PUT", path.replaceAll(/[{}]/g, ""));

    expect(answer.status).toBe(405);
    expect(answer.headers.get("allow")?.split(", ").toSorted()).toEqual(
      OPERATIONS.filter((operation) => operation.path === path)
        .map(({ method }) => method)
        .toSorted(),
    );
  });

  test("has a case that shows that no tenant sees another's by it", ({ ingress }) => {
    const routes = ingress.routes
      .filter(({ isOpen, path }) => isOpen !== true && !isOperators(path))
      .flatMap(({ methods, path }) => Object.keys(methods).map((method) => `${method} ${path}`));

    expect(Object.keys(TENANCY_CASES).toSorted()).toEqual(routes.toSorted());
  });

  test("answers an unknown path with 404, one that cannot be decoded too", async ({ client }) => {
    const answers = await Promise.all(
      ["/v1/nothing", "/", "/v1/jobs/", "/metrics", "/v1/jobs/%ff"].map((path) =>
        client.call("GET", path),
      ),
    );

    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404]);
    expect(answers[0]?.body).toMatchObject({ error: { code: "route_not_found", param: null } });
  });

  test("carries a request id: the caller's if it is sane", async ({ client }) => {
    const withId = (id: string): Promise<string | null> =>
      client
        .call("GET", "/healthz", { headers: { "x-request-id": id } })
        .then(({ headers }) => headers.get("x-request-id"));

    await expect(withId("trace-7:a.b_c")).resolves.toBe("trace-7:a.b_c");
    await expect(withId('<script>"')).resolves.toMatch(/^req_[\w-]{36}$/);
    await expect(withId("x".repeat(129))).resolves.toMatch(/^req_/);
  });
});

describe("GET /v1/models", () => {
  test("lists the models that ever had a worker", async ({ client }) => {
    const { body } = await client.call("GET", "/v1/models");

    expect(body).toMatchObject({
      object: "list",
      data: [{ id: MODEL, object: "model", max_model_len: 4_096 }],
    });
  });

  test("reads one, its slash escaped or not", async ({ client }) => {
    const plain = await client.call("GET", `/v1/models/${MODEL}`);
    const escaped = await client.call("GET", `/v1/models/${encodeURIComponent(MODEL)}`);
    const unknown = await client.call("GET", "/v1/models/nobody/knows");

    expect(plain.body).toMatchObject({ id: MODEL });
    expect(escaped.body).toEqual(plain.body);
    expect(unknown.status).toBe(404);
    expect(unknown.body).toMatchObject({ error: { code: "model_not_found", param: "model" } });
  });
});

describe("the reference", () => {
  test("refers only to shapes it has, and its page to places it has", async ({ client }) => {
    const json = await client.call("GET", "/openapi.json");
    const page = await client.call("GET", "/docs");
    const shapes = Object.keys(Object(json.body["components"]).schemas);
    const used = [...json.text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
    const links = [...page.text.matchAll(/href="#([\w-]+)"/g)];

    expect(json.body).toMatchObject({ openapi: "3.1.0" });
    expect(shapes).toEqual(expect.arrayContaining([...new Set(used.map(([, name]) => name))]));
    expect(links.length).toBeGreaterThan(OPERATIONS.length);
    for (const [, id] of links) expect(page.text).toContain(`id="${id}"`);
    expect(page.text).not.toMatch(/<script|https?:\/\//);
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  });
});

test("refuses what is not HTTP in the shape of all errors", async ({ ingress }) => {
  const client = new TestClient(ingress.port, "x".repeat(20_000));

  const { status, body } = await client.call("GET", "/v1/jobs");

  expect(status).toBe(431);
  expect(body).toMatchObject({ error: { code: "head_too_large" } });
});
