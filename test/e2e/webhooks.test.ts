import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { unwrapWebhook } from "@headrace/client";
import type { Submit } from "@headrace/contract";
import { ManagedProcess } from "@headrace/testkit/instruments";
import OpenAI from "openai";
import { describe, expect, onTestFinished } from "vitest";

import { API_KEY } from "../platform.ts";
import { WebhookSink } from "../webhook-sink.ts";
import { platformTest } from "./platform-test.ts";

const MODEL = "headrace-sim-8b";

const test = platformTest.extend("webhooks", { scope: "file" }, ({ platform }) =>
  platform.startWebhooks(),
);

function generation(fields: Partial<Submit> = {}): Submit {
  const messages = [{ role: "user", content: "Weirs" }];
  return {
    endpoint: "/v1/chat/completions",
    request: { model: MODEL, messages, max_tokens: 5 },
    ...fields,
  };
}

const PROGRAM = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));
const WAIT = { timeout: 20_000 };
const run = promisify(execFile);

/** `headrace` against a platform. @returns what it wrote to standard output */
async function runCommand(url: string, ...args: string[]): Promise<string> {
  const env = { HEADRACE_API_KEY: API_KEY, HEADRACE_URL: url };
  return (await run(process.execPath, [PROGRAM, ...args], { env })).stdout.trim();
}

/** The same, to be stopped. */
function startCommand(url: string, ...args: string[]): ManagedProcess {
  const environment = { HEADRACE_API_KEY: API_KEY, HEADRACE_URL: url };
  const command = new ManagedProcess({ name: "headrace", args: [PROGRAM, ...args], environment });
  onTestFinished(async () => {
    await command.stop();
  });
  return command;
}

async function openSink(): Promise<WebhookSink> {
  const sink = await WebhookSink.open();
  onTestFinished(() => sink.close());
  return sink;
}

describe("the official openai package", () => {
  test("keeps endpoints, and unwraps what is sent to them", async ({
    platform,
    webhooks: _delivering,
    client: headrace,
  }) => {
    const sink = await openSink();
    const openai = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: API_KEY, maxRetries: 0 });
    const made = await openai.webhooks.create({
      name: "Ours",
      url: sink.url,
      event_types: ["response.completed"],
    });
    await headrace.webhooks.update(made.id, { event_types: ["response.*", "job.failed"] });

    const response = await openai.responses.create({
      model: MODEL,
      input: "Weirs",
      background: true,
      max_output_tokens: 5_000,
    });
    const { headers, body } = await sink.when(({ body: text }) => text.includes(response.id));
    const event = await openai.webhooks.unwrap(body, headers, made.signing_secret);

    expect(event).toMatchObject({
      object: "event",
      type: "response.completed",
      data: { id: response.id },
    });
    expect((await openai.webhooks.list()).data.map(({ id }) => id)).toContain(made.id);
    expect(await openai.webhooks.retrieve(made.id)).toMatchObject({ name: "Ours", url: sink.url });
    expect((await openai.webhooks.eventTypes.list()).data).toContain("batch.completed");

    const rotated = await openai.webhooks.rotateSecret(made.id, {
      keep_old_secret_active_for_24_hours: true,
    });
    const again = await openai.responses.create({ model: MODEL, input: "Again", background: true });
    const later = await sink.when(({ body: text }) => text.includes(again.id));
    for (const secret of [made.signing_secret, rotated.signing_secret]) {
      const { id } = await openai.webhooks.unwrap(later.body, later.headers, secret);
      expect(id).toBe(later.headers["webhook-id"]);
    }
    await expect(
      openai.webhooks.unwrap(later.body, later.headers, `whsec_${"A".repeat(43)}=`),
    ).rejects.toThrow("signature");
    expect(await openai.webhooks.delete(made.id)).toMatchObject({ deleted: true });
  }, 30_000);
});

describe("the command", () => {
  test("shows what happens as it happens, and takes its endpoint away again", async ({
    platform,
    webhooks: _delivering,
    client,
  }) => {
    const listening = startCommand(platform.url, "webhooks", "listen", "--events", "job.*");
    await expect.poll(() => listening.lines.join("\n"), WAIT).toContain("Events come to");
    const during = await runCommand(platform.url, "webhooks", "list");

    const job = await client.submit(generation());
    await expect
      .poll(() => listening.lines.join("\n"), WAIT)
      .toMatch(new RegExp(`✓ job\\.completed ${job.id} evt_\\w+`));
    listening.signal("SIGINT");
    await expect.poll(() => listening.findEnd(), WAIT).toMatch(/^headrace ended with 0:/);

    expect(during).toContain("http://127.0.0.1:");
    expect(await runCommand(platform.url, "webhooks", "list")).toContain("No endpoints");
  }, 60_000);

  test("makes a secret, has a job tell a receiver, and shows and repeats the delivery", async ({
    platform,
    webhooks: _delivering,
  }) => {
    const sink = await openSink();
    const secret = await runCommand(platform.url, "webhooks", "secret");
    const flags = ["--webhook", sink.url, "--max-tokens", "5", "--detach"];
    const job = await runCommand(platform.url, "submit", ...flags, "Weirs");
    const { body, headers } = await sink.when(({ body: text }) => text.includes(job));
    await expect
      .poll(() => runCommand(platform.url, "webhooks", "log"), { timeout: 20_000, interval: 500 })
      .toMatch(new RegExp(`${job} +delivered +1, the last 204`));

    const [delivery = ""] = /whd_\w+/.exec(await runCommand(platform.url, "webhooks", "log")) ?? [];
    sink.received.length = 0;
    const replayed = await runCommand(platform.url, "webhooks", "replay", delivery);
    await sink.when(({ body: text }) => text.includes(job));

    expect(await unwrapWebhook(body, headers, secret)).toMatchObject({ data: { id: job } });
    expect(replayed).toBe(`${delivery} is sent again`);
  }, 60_000);
});

describe("Headrace's client", () => {
  test("is told of one job at the address that the job names", async ({
    webhooks: _delivering,
    client,
  }) => {
    const sink = await openSink();
    const { signing_secret: secret } = await client.webhooks.renewSecret({ keepOld: true });
    const job = await client.submit(generation({ webhook: sink.url }));

    const { headers, body } = await sink.when(({ body: text }) => text.includes(job.id));
    const event = await unwrapWebhook(body, headers, secret);

    expect(event).toMatchObject({ type: "job.completed", data: { id: job.id } });
    expect(await client.get(job.id)).toMatchObject({ webhook: sink.url, status: "completed" });
    await expect(unwrapWebhook(`${body} `, headers, secret)).rejects.toMatchObject({
      code: "webhook_invalid",
    });
  }, 30_000);

  test("sees what became of a delivery, and has it sent again", async ({
    webhooks: _delivering,
    client,
  }) => {
    const sink = await openSink();
    const form = { url: sink.url, event_types: ["job.*" as const] };
    const endpoint = await client.webhooks.create(form);
    sink.onReceive = () => 410;
    const job = await client.submit(generation());
    await sink.when(({ body }) => body.includes(job.id));
    await expect
      .poll(() => client.webhooks.get(endpoint.id), { timeout: 5_000 })
      .toMatchObject({ status: "disabled", disabled_reason: "gone" });
    await expect
      .poll(() => client.webhooks.deliveries({ endpoint: endpoint.id, status: "failed" }))
      .toMatchObject({ data: [{ failure: "gone", tries: [{ status_code: 410 }] }] });

    sink.onReceive = () => 204;
    sink.received.length = 0;
    await client.webhooks.update(endpoint.id, { status: "enabled" });
    const { replayed } = await client.webhooks.replayFailed(endpoint.id);
    await sink.when(({ body }) => body.includes(job.id));

    await expect
      .poll(() => client.webhooks.deliveries({ endpoint: endpoint.id }))
      .toMatchObject({ data: [{ status: "delivered", failure: null }] });
    expect(replayed).toBe(1);
    await client.webhooks.delete(endpoint.id);
  }, 30_000);
});
