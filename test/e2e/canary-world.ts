import { findFreePort, type ManagedProcess } from "@headrace/testkit/instruments";
import { z } from "zod";

import { API_KEY, Platform } from "../platform.ts";
import { startService } from "../service.ts";
import { Canaries } from "./canaries.ts";
import { TattlingServer } from "./tattling-server.ts";

/** Of each process, by the testkit. */
const KEPT_LINES = 2_000;
/** In a prompt: the filter refuses it, quoting it. */
export const REFUSED = "way-refused";

/** What was sent through everything, and where it may not be found. */
export class World {
  readonly canaries = new Canaries();
  readonly platform: Platform;
  readonly webhooks: ManagedProcess;
  readonly operations: readonly string[];
  readonly receiver: TattlingServer;
  calls = 0;

  constructor(
    platform: Platform,
    { webhooks, operations, receiver }: Pick<World, "webhooks" | "operations" | "receiver">,
  ) {
    this.platform = platform;
    this.webhooks = webhooks;
    this.operations = operations;
    this.receiver = receiver;
  }

  /** Call with a canary in whatever a caller may choose. @returns the answer's text */
  async call(
    method: string,
    path: string,
    { body, key = API_KEY, query = "" }: { body?: unknown; key?: string; query?: string } = {},
  ): Promise<string> {
    this.calls += 1;
    const canary = this.canaries.make("header");
    const payload = typeof body === "string" ? body : JSON.stringify(body);
    const answer = await fetch(`${this.platform.url}${path}${query}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        "content-type": "application/json",
        "user-agent": canary,
        cookie: canary,
        referer: `https://example.com/${canary}`,
        "x-canary": canary,
        origin: `https://${canary}.example.com`,
      },
      ...(payload === undefined ? {} : { body: payload }),
    });
    return answer.text();
  }

  /** A chat whose prompt is a canary, with one in every other text that is a caller's own. */
  chat(model: string, way = ""): Record<string, unknown> {
    const content = `${way} ${this.canaries.make("prompt")}`;
    const user = this.canaries.make("user");
    return { model, messages: [{ role: "user", content }], user, max_tokens: 12 };
  }

  job(request: object): Record<string, unknown> {
    return {
      endpoint: "/v1/chat/completions",
      request,
      metadata: { [this.canaries.make("metadata-key")]: this.canaries.make("metadata") },
      webhook: `${this.receiver.url}/${this.canaries.make("webhook-path")}?token=${this.canaries.make("webhook-query")}`,
    };
  }

  /** Submit a job and see it end. */
  async run(request: object): Promise<string> {
    const made = read(idSchema, await this.call("POST", "/v1/jobs", { body: this.job(request) }));
    const place = `/v1/jobs/${made.id}`;
    await this.call("GET", place, { query: "?wait=20" });
    for (const page of ["", "/events", "/timeline", "/latency"])
      await this.call("GET", place + page);
    await this.call("POST", `${place}/retry`);
    return made.id;
  }

  /** Everything that was logged and counted. */
  async findLeaks(pages: readonly string[]): Promise<string[]> {
    const services = [...this.platform.services, this.webhooks];
    const ours = services.filter(({ name }) => name !== "engine-sim");
    // Nothing was dropped from what is looked through.
    const full = ours.find(({ lines }) => lines.length >= KEPT_LINES);
    if (full !== undefined) throw new Error(`${full.name} said more than is kept`);
    const lines = ours.flatMap(({ name, lines: said }) => said.map((line) => `${name}: ${line}`));
    return this.canaries.findIn([...lines, ...pages.flatMap((page) => page.split("\n"))]);
  }
}

/** Parse an answer. @throws Error that shows it, where it is another */
export function read<Value>(schema: z.ZodType<Value>, answer: string): Value {
  const parsed = schema.safeParse(JSON.parse(answer));
  if (parsed.success) return parsed.data;
  throw new Error(`an answer is not as expected: ${answer.slice(0, 500)}`);
}

const idSchema = z.looseObject({ id: z.string() });

/** Start all of it, with a receiver and a filter that say again what they are told. */
export async function openWorld(): Promise<World & AsyncDisposable> {
  const [ingressOperations, webhooksPort] = [await findFreePort(), await findFreePort()];
  const receiver = await TattlingServer.start((response, { body }) =>
    response.writeHead(500).end(body),
  );
  const filter = await TattlingServer.start((response, { body }) => {
    if (body.includes("way-unreviewed")) response.writeHead(500).end(body);
    else if (!body.includes(REFUSED)) response.end('{"action":"allow"}');
    else response.end(JSON.stringify({ action: "reject", message: body }));
  });
  const platform = await Platform.start({
    ingress: {
      LOG_LEVEL: "debug",
      INGRESS_OPERATIONS_PORT: String(ingressOperations),
      INGRESS_CONTENT_FILTER_URL: filter.url,
      INGRESS_CONTENT_FILTER_TOKEN: "cnry-filter-token-5f0c1d",
      INGRESS_CORS_ORIGINS: "https://app.example.com",
    },
    worker: { LOG_LEVEL: "debug", ENGINE_API_KEY: "cnry-engine-key-77a0b2" },
  });
  const webhooks = startService({
    name: "webhooks",
    url: `http://127.0.0.1:${webhooksPort}`,
    environment: {
      REDIS_URL: platform.redis.url,
      WEBHOOKS_OPERATIONS_PORT: String(webhooksPort),
      WEBHOOKS_ALLOW: "127.0.0.1",
      LOG_LEVEL: "debug",
    },
  });
  await webhooks.whenReady("/readyz");
  const operations = [`http://127.0.0.1:${ingressOperations}`, webhooks.url];
  const world = new World(platform, { webhooks, operations, receiver });
  world.canaries.add("filter token", "cnry-filter-token-5f0c1d");
  world.canaries.add("engine key", "cnry-engine-key-77a0b2");
  world.canaries.add("key", API_KEY);
  return Object.assign(world, {
    [Symbol.asyncDispose]: async () => {
      await webhooks.stop();
      await platform.stop();
      await Promise.all([receiver.close(), filter.close()]);
    },
  });
}
