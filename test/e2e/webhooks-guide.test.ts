import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { Headrace } from "@headrace/client";
import { webhookEndpointWithSecretSchema } from "@headrace/contract";
import { findFreePort } from "@headrace/testkit";
import { ManagedProcess } from "@headrace/testkit/instruments";
import { expect, onTestFinished } from "vitest";

import { API_KEY } from "../platform.ts";
import { WebhookSink } from "../webhook-sink.ts";
import { platformTest } from "./platform-test.ts";

const guide = readFileSync(new URL("../../docs/webhooks.md", import.meta.url), "utf8");
const here = fileURLToPath(new URL(".", import.meta.url));
const COMMAND = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));
const WAIT = { timeout: 20_000 };
const run = promisify(execFile);

const test = platformTest.extend("webhooks", { scope: "file" }, ({ platform }) =>
  platform.startWebhooks(),
);

/** The guide's blocks, in their order. What it shows cannot be without a case below. */
const [exampleBlock = "", createBlock = "", listenBlock = "", serverBlock = "", libraryBlock = ""] =
  [...guide.matchAll(/^```\w+\n(.*?)^```$/gms)].map(([, text = ""]) => text);

/** Write a program beside this file, where the packages that it imports are found. */
async function writeProgram(name: string, text: string): Promise<string> {
  const path = `${here}webhooks-guide-${name}-${process.pid}.mjs`;
  await writeFile(path, text);
  onTestFinished(() => rm(path));
  return path;
}

/** Run a program until it is told to stop. */
function startProgram(args: string[], environment: Record<string, string>): ManagedProcess {
  const program = new ManagedProcess({ name: "guide", args, environment });
  onTestFinished(async () => {
    await program.stop();
  });
  return program;
}

async function submitJob(client: Headrace): Promise<string> {
  const messages = [{ role: "user", content: "Weirs" }];
  const request = { model: "headrace-sim-8b", messages, max_tokens: 5 };
  return (await client.submit({ endpoint: "/v1/chat/completions", request })).id;
}

test("the guide has five blocks", () => {
  expect([...guide.matchAll(/^```\w+$/gm)]).toHaveLength(5);
});

test("the guide's endpoint is made by its command", async ({ platform, client }) => {
  const script = createBlock.replace("http://127.0.0.1:8080", platform.url);
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin", HEADRACE_API_KEY: API_KEY };

  const { stdout } = await run("sh", ["-eu", "-c", script], { env });
  const made = webhookEndpointWithSecretSchema.parse(JSON.parse(stdout));
  await client.webhooks.delete(made.id);

  expect(made).toMatchObject({ url: "https://example.com/hooks", event_types: ["job.*"] });
  expect(made.signing_secret).toMatch(/^whsec_/);
});

test("the guide's commands listen, and submit what is heard of", async ({
  platform,
  webhooks: _delivering,
}) => {
  const environment = { HEADRACE_API_KEY: API_KEY, HEADRACE_URL: platform.url };
  const [listen = [], submit = []] = listenBlock
    .trim()
    .split("\n")
    .map((line) => [...line.replace(/#.*/, "").matchAll(/"([^"]*)"|(\S+)/g)])
    .map((words) => words.map(([, quoted, plain]) => quoted ?? plain ?? ""));
  const listening = startProgram([COMMAND, ...listen.slice(1)], environment);
  await expect.poll(() => listening.lines.join("\n"), WAIT).toContain("Events come to");

  const { stdout } = await run(process.execPath, [COMMAND, ...submit.slice(1)], {
    env: environment,
  });

  expect([listen[0], submit[0]]).toEqual(["./headrace", "./headrace"]);
  await expect
    .poll(() => listening.lines.join("\n"), WAIT)
    .toContain(`job.completed ${stdout.trim()}`);
}, 60_000);

test("the guide's server unwraps what it is sent", async ({ webhooks: _delivering, client }) => {
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}/`;
  const made = await client.webhooks.create({ url, event_types: ["job.*"] });
  const path = await writeProgram("server", serverBlock.replace("listen(3000)", `listen(${port})`));
  const server = startProgram([path], { WEBHOOK_SECRET: made.signing_secret });
  await expect
    .poll(
      () =>
        fetch(url).then(
          ({ status }) => status,
          () => 0,
        ),
      WAIT,
    )
    .toBe(400);

  const job = await submitJob(client);

  await expect.poll(() => server.lines.join("\n"), WAIT).toContain(`job.completed ${job}`);
  await client.webhooks.delete(made.id);
}, 60_000);

test("the guide's library verifies an event in the form that it shows", async ({
  webhooks: _delivering,
  client,
}) => {
  const sink = await WebhookSink.open();
  onTestFinished(() => sink.close());
  const made = await client.webhooks.create({ url: sink.url, event_types: ["job.*"] });
  const job = await submitJob(client);
  const { body, headers } = await sink.when(({ body: text }) => text.includes(job));
  await client.webhooks.delete(made.id);
  const path = await writeProgram(
    "library",
    `const [body, headers] = ${JSON.stringify([body, headers])};\n${libraryBlock}console.log(event.data.id);`,
  );

  const { stdout } = await run(process.execPath, [path], {
    env: { WEBHOOK_SECRET: made.signing_secret },
  });

  expect(stdout.trim()).toBe(job);
  expect(Object.keys(Object(JSON.parse(body)))).toEqual(Object.keys(JSON.parse(exampleBlock)));
}, 60_000);
