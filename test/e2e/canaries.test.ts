import { expect, test } from "vitest";
import { z } from "zod";

import { openWorld, read, REFUSED, type World } from "./canary-world.ts";
import { tattlingEngine } from "./tattling-server.ts";

const MODEL = "headrace-sim-8b";
const TATTLER = "acme/tattler";

const documentSchema = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) });

/** Every route that the reference names, with canaries for all that it takes, and no sense in it. */
async function callEverything(world: World): Promise<void> {
  const { paths } = read(documentSchema, await world.call("GET", "/openapi.json"));
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of Object.keys(methods).map((name) => name.toUpperCase())) {
      // The audit log names what an operator's call was for: that is no secret.
      const named = path.startsWith("/admin/") ? "probe" : world.canaries.make("path");
      const place = path.replaceAll(/\{\w+\}/g, named);
      const body = { [world.canaries.make("field")]: world.canaries.make("body") };
      const bodies =
        method === "POST" ? [body, `{"prompt": "${world.canaries.make("broken")}`] : [undefined];
      for (const each of bodies) {
        await world.call(method, place, { body: each });
        await world.call(method, place, {
          body: each,
          query: `?after=${world.canaries.make("query")}&x=1`,
        });
        await world.call(method, place, { body: each, key: world.canaries.make("wrong-key") });
      }
      await world.call("PATCH", place);
    }
  }
  await world.call("GET", `/${world.canaries.make("no-route")}`, {
    query: `?q=${world.canaries.make("query")}`,
  });
  await world.call("GET", `/v1/jobs/%ff${world.canaries.make("undecodable")}`);
}

/** What goes well: its prompts, and what the engine says to them. */
async function callInEarnest(world: World): Promise<void> {
  const answerSchema = z.looseObject({
    choices: z.array(z.looseObject({ message: z.looseObject({ content: z.string() }) })).min(1),
  });
  const whole = await world.call("POST", "/v1/chat/completions", { body: world.chat(MODEL) });
  const said = read(answerSchema, whole).choices[0]?.message.content ?? "";
  world.canaries.add("output", said.slice(0, 24));
  await world.call("POST", "/v1/chat/completions", {
    body: { ...world.chat(MODEL), stream: true },
  });
  for (const stream of [true, false]) {
    const prompt = world.canaries.make("prompt");
    await world.call("POST", "/v1/completions", {
      body: { model: MODEL, prompt, max_tokens: 5, stream },
    });
    await world.call("POST", "/generate", {
      body: { prompt, model: MODEL, max_tokens: 5, stream },
    });
    const response = {
      model: MODEL,
      input: world.canaries.make("input"),
      instructions: world.canaries.make("instructions"),
      metadata: { a: world.canaries.make("metadata") },
      max_output_tokens: 16,
    };
    await world.call("POST", "/v1/responses", { body: { ...response, stream } });
    await world.call("POST", "/v1/responses", { body: { ...response, stream, background: true } });
  }
  const input = world.canaries.make("input");
  await world.call("POST", "/v1/embeddings", { body: { model: MODEL, input } });
  await world.run(world.chat(MODEL));
}

/** Secrets that are made here: keys, and what signs webhooks. */
async function callForSecrets(world: World): Promise<void> {
  const keySchema = z.looseObject({ id: z.string(), key: z.string() });
  const made = read(
    keySchema,
    await world.call("POST", "/admin/v1/keys", {
      body: { name: "probe", scopes: ["submit", "read"] },
    }),
  );
  world.canaries.add("made key", made.key);
  await world.call("POST", "/v1/chat/completions", { body: world.chat(MODEL), key: made.key });
  const rotated = read(
    keySchema,
    await world.call("POST", `/admin/v1/keys/${made.id}/rotate`, { body: {} }),
  );
  world.canaries.add("rotated key", rotated.key);
  await world.call("POST", `/admin/v1/keys/${made.id}/revoke`);
  await world.call("GET", "/v1/jobs", { key: made.key });
  // Somebody may take a key for its id.
  await world.call("DELETE", `/admin/v1/keys/${rotated.key}`);
  const secretSchema = z.looseObject({ signing_secret: z.string() });
  const single = read(secretSchema, await world.call("POST", "/v1/webhook_secret", { body: {} }));
  world.canaries.add("secret of single webhooks", single.signing_secret);
  const url = `${world.receiver.url}/${world.canaries.make("endpoint-path")}?t=${world.canaries.make("endpoint-query")}`;
  const endpoint = read(
    secretSchema,
    await world.call("POST", "/v1/webhook_endpoints", {
      body: { name: "probe", url, event_types: ["job.*"] },
    }),
  );
  world.canaries.add("webhook secret", endpoint.signing_secret);
  await world.run(world.chat(MODEL));
  await expect.poll(() => world.receiver.came.length, { timeout: 20_000 }).toBeGreaterThan(1);
}

/** What goes wrong: a filter, an engine, a worker, Redis. */
async function callInVain(world: World): Promise<void> {
  const { platform } = world;
  const canary = world.canaries.make("engine");
  const engine = await tattlingEngine(TATTLER, canary);
  await platform.startWorker({ ENGINE_URL: engine.url });
  for (const way of ["rejects", "fails", "talks", "errs", "breaks"]) {
    await world.call("POST", "/v1/chat/completions", { body: world.chat(TATTLER, `way-${way}`) });
    await world.call("POST", "/v1/jobs", {
      body: world.job(world.chat(TATTLER, `way-${way}`)),
      query: "",
    });
  }
  for (const kind of ["500", "cut", "garbage"]) {
    const request = { ...world.chat(MODEL), headrace_fault: { kind, after_tokens: 3 } };
    await world.call("POST", "/v1/chat/completions", { body: { ...request, stream: true } });
  }
  for (const way of [REFUSED, "way-unreviewed"]) {
    await world.call("POST", "/v1/chat/completions", { body: world.chat(MODEL, way) });
  }
  await world.call("POST", "/v1/jobs", { body: world.job(world.chat(MODEL)) });
  await platform.redis.kill();
  const away = [
    world.call("POST", "/v1/jobs", { body: world.job(world.chat(MODEL)) }),
    world.call("POST", "/v1/chat/completions", { body: world.chat(MODEL) }),
    world.call("GET", "/v1/jobs", { query: `?model=${world.canaries.make("query")}` }),
  ];
  await Promise.all(away);
  await platform.redis.restart();
  await platform.workers[0]?.kill();
  await engine.close();
}

test(
  "no prompt, output, key or secret is logged or counted, whatever goes wrong",
  { timeout: 120_000 },
  async () => {
    await using world = await openWorld();
    await callEverything(world);
    await callForSecrets(world);
    await callInEarnest(world);
    await callInVain(world);
    const pages = await Promise.all(
      [
        ...world.operations,
        ...world.platform.workers.filter(({ hasExited }) => !hasExited).map(({ url }) => url),
      ].map(async (url) => (await fetch(`${url}/metrics`)).text()),
    );
    for (const service of [world.platform.ingress, ...world.platform.workers, world.webhooks])
      await service.stop();

    expect(await world.findLeaks(pages)).toEqual([]);
    // It was sent, and the logs do tell of what it was sent with.
    const told = world.platform.ingress.lines.filter((line) => line.includes("request answered"));
    expect(told.length).toBeGreaterThanOrEqual(world.calls - 10);
    expect(world.canaries.count).toBeGreaterThan(400);
    expect(world.webhooks.lines.join("\n")).toContain("webhook tried");
    expect(pages.join("\n")).toContain("llm_requests_total");
    expect(pages).toHaveLength(3);
  },
);
