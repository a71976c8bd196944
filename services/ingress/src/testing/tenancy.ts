import { randomUUID } from "node:crypto";

import {
  batchSchema,
  fileSchema,
  findJobId,
  findResponseJob,
  responseIdOf,
  webhookDeliveryListSchema,
  webhookEndpointWithSecretSchema,
  type JobId,
} from "@headrace/contract";
import * as fc from "fast-check";
import { vi } from "vitest";

import type { TestClient } from "./client.ts";
import { MODEL, type SimulatedWorker } from "./simulated-worker.ts";
import { makeKey } from "./tenants.ts";

/** How long is waited for an answer. */
const ANSWER_MS = 4_000;
/** The same where none may come: streams do not end, and a synchronous call waits for a worker. */
const HELD_MS = 120;
/** Longest that an ended job may take to be on its way to an endpoint. */
const TOLD_MS = 4_000;

/** A kind of id, or of name, that a call can carry. */
export type IdKind =
  | "job"
  | "response"
  | "key"
  | "tenant"
  | "idempotencyKey"
  | "endpoint"
  | "delivery"
  | "file"
  | "batch";
/** Those that calls may use up. */
export type SpendableKind = "job" | "response" | "idempotencyKey" | "endpoint" | "file" | "batch";

/** A tenant, and all that is its own and nobody else's to see. */
export class Side {
  readonly tenant: string;
  readonly keyId: string;
  readonly client: TestClient;
  /** Texts that must not reach anybody else: each is in something that this tenant has. */
  readonly canaries: string[] = [];
  /** What it has, by kind: `IDS` says of which. */
  readonly ids: Record<IdKind, string[]> = {
    job: [],
    response: [],
    key: [],
    tenant: [],
    idempotencyKey: [],
    endpoint: [],
    delivery: [],
    file: [],
    batch: [],
  };

  /** The jobs it was made with. */
  firstJobs: readonly string[] = [];

  private constructor(tenant: string, keyId: string, client: TestClient) {
    this.tenant = tenant;
    this.keyId = keyId;
    this.client = client;
    this.canaries.push(tenant, keyId);
    this.ids.key.push(keyId);
    this.ids.tenant.push(tenant);
  }

  /** Make tenants that have one of everything: jobs in every state, and whatever else routes give. */
  static async makeAll(
    operator: TestClient,
    worker: SimulatedWorker,
    tenants: readonly string[],
  ): Promise<Side[]> {
    const sides: Side[] = [];
    for (const tenant of tenants) {
      const { id, client } = await makeKey(operator, { tenant, name: `${tenant}-key-name` });
      const side = new Side(tenant, id, client);
      sides.push(side);
      await side.#fillWithWork(worker);
    }
    // What stays in the queue comes last: the worker takes whatever is there.
    for (const side of sides) await side.#fillWithWaiting();
    return sides;
  }

  async #fillWithWork(worker: SimulatedWorker): Promise<void> {
    const { tenant } = this;
    await this.makeAnew("endpoint");
    await this.makeAnew("file");
    await this.makeAnew("batch");
    await this.submit();
    const completed = await worker.next();
    completed.say(`${tenant}-output`);
    await completed.complete();
    await this.submit();
    const failed = await worker.next();
    const message = `${tenant}-failure`;
    await failed.fail({ message, type: "server_error", param: null, code: "engine_failed" });
    await this.respond();
    const responded = await worker.next();
    responded.say(`${tenant}-output`);
    await responded.complete();
    await this.submit();
    const running = await worker.next();
    running.say(`${tenant}-output`);
    this.canaries.push(`${tenant}-key-name`, `${tenant}-output`, message);
  }

  async #fillWithWaiting(): Promise<void> {
    const { client, tenant } = this;
    const cancelled = await this.submit();
    await client.call("POST", `/v1/jobs/${cancelled}/cancel`);
    const key = `${tenant}-idempotency-key`;
    await this.submit({ "idempotency-key": key });
    this.ids.idempotencyKey.push(key);
    await this.respond();
    this.firstJobs = [...this.ids.job];
    await this.#awaitDeliveries();
  }

  /** Its jobs that have ended are being told of to its endpoint. */
  async #awaitDeliveries(): Promise<void> {
    const [endpoint = ""] = this.ids.endpoint;
    const path = `/v1/webhook_endpoints/${endpoint}/deliveries`;
    const { data } = await vi.waitFor(async () => {
      const list = webhookDeliveryListSchema.parse((await this.client.call("GET", path)).body);
      if (list.data.length === 0) throw new Error("nothing is delivered yet");
      return list;
    }, TOLD_MS);
    this.ids.delivery.push(...data.map(({ id }) => id));
    this.canaries.push(...this.ids.delivery, ...data.map(({ event }) => event.id));
  }

  /** Have one more of a kind that calls use up. @returns its id */
  async makeAnew(kind: SpendableKind): Promise<string> {
    switch (kind) {
      case "job":
        return this.submit();
      case "response":
        return this.respond();
      case "endpoint":
        return this.#makeEndpoint();
      case "file":
        return this.#upload();
      case "batch":
        return this.#makeBatch();
      case "idempotencyKey": {
        const key = randomUUID();
        await this.submit({ "idempotency-key": key });
        return key;
      }
    }
  }

  /** Have a background response of its own. @returns its id */
  async respond(): Promise<string> {
    const body = {
      model: MODEL,
      input: `${this.tenant}-prompt`,
      background: true,
      instructions: `${this.tenant}-instructions`,
    };
    const answer = await this.client.call("POST", "/v1/responses", { body });
    const job = findResponseJob(answer.body["id"]);
    if (job === null) throw new Error(`no response: ${answer.text}`);
    const id = responseIdOf(job);
    this.ids.response.push(id);
    this.canaries.push(id, job, `${this.tenant}-instructions`);
    return id;
  }

  async #makeEndpoint(): Promise<string> {
    const url = `https://${this.tenant}-receiver.example/`;
    const body = { url, event_types: ["job.*"] };
    const answer = await this.client.call("POST", "/v1/webhook_endpoints", { body });
    const { id, signing_secret: secret } = webhookEndpointWithSecretSchema.parse(answer.body);
    this.ids.endpoint.push(id);
    this.canaries.push(id, secret, url);
    return id;
  }

  async #upload(): Promise<string> {
    const { tenant, client } = this;
    const form = new FormData();
    form.set("purpose", "batch");
    form.set("file", new Blob([`${tenant}-line`]), `${tenant}-file.jsonl`);
    const response = await fetch(`${client.base}/v1/files`, {
      method: "POST",
      headers: client.authorization,
      body: form,
    });
    const { id } = fileSchema.parse(await response.json());
    this.ids.file.push(id);
    this.canaries.push(id, `${tenant}-line`, `${tenant}-file.jsonl`);
    return id;
  }

  async #makeBatch(): Promise<string> {
    const metadata = { whose: `${this.tenant}-batch` };
    const body = {
      input_file_id: await this.#upload(),
      endpoint: "/v1/completions",
      completion_window: "24h",
      metadata,
    };
    const answer = await this.client.call("POST", "/v1/batches", { body });
    const { id } = batchSchema.parse(answer.body);
    this.ids.batch.push(id);
    this.canaries.push(id, metadata.whose);
    return id;
  }

  /** Submit a job of its own. @returns its id */
  async submit(headers: Record<string, string> = {}): Promise<JobId> {
    const content = `${this.tenant}-prompt`;
    const body = {
      endpoint: "/v1/chat/completions",
      request: { model: MODEL, messages: [{ role: "user", content }] },
      metadata: { whose: `${this.tenant}-metadata` },
    };
    const answer = await this.client.call("POST", "/v1/jobs", { body, headers });
    const id = findJobId(answer.body["id"]);
    if (id === null) throw new Error(`no job: ${answer.text}`);
    this.ids.job.push(id);
    this.canaries.push(id, content, `${this.tenant}-metadata`);
    return id;
  }
}

/** A call of the API, with an id somewhere in it. */
export interface Call {
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** What came of a call; status 0 where no answer came at once. */
export interface Outcome {
  readonly status: number;
  readonly headers: string;
  readonly text: string;
}

const VARYING_HEADERS = new Set(["x-request-id", "date", "content-length", "connection"]);

/** Make a call and read its answer; of one that may be held, what comes at once. */
export async function callAs(
  { client }: Side,
  method: string,
  { path, isHeld, ...sent }: Call & { readonly isHeld: boolean },
): Promise<Outcome> {
  const signal = AbortSignal.timeout(isHeld ? HELD_MS : ANSWER_MS);
  let outcome: Outcome = { status: 0, headers: "", text: "" };
  try {
    const response = await client.open(method, path, { ...sent, signal });
    const headers = [...response.headers].filter(([name]) => !VARYING_HEADERS.has(name));
    outcome = { status: response.status, headers: String(headers), text: "" };
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      outcome = { ...outcome, text: outcome.text + decoder.decode(chunk, { stream: true }) };
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return outcome;
}

/** An answer, but for what may differ between two calls that are to be answered alike. */
export function mask({ status, headers, text }: Outcome, id: string): string {
  return `${status} ${headers} ${text}`
    .replaceAll(id, "<id>")
    .replaceAll(encodeURIComponent(id), "<id>")
    .replaceAll(/(job|resp|msg|batch)_\w+/g, "<$1>")
    .replaceAll(/\d+(\.\d+)?/g, "<n>");
}

/** What an answer holds of the other tenant's, beyond what its caller sent. */
export function leaksIn({ headers, text }: Outcome, other: Side, call: Call): string[] {
  const sent = JSON.stringify(call);
  return other.canaries.filter(
    (canary) => !sent.includes(canary) && `${headers} ${text}`.includes(canary),
  );
}

const HEX = "0123456789abcdef".split("");
const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz".split("");
const characters = (count: number, alphabet = CROCKFORD): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength: count, maxLength: count });

/** Ids of a kind that nobody has. `like` is one that somebody has. */
export const UNKNOWN: Readonly<Record<IdKind, (like: string) => fc.Arbitrary<string>>> = {
  job: (like) =>
    fc
      .tuple(fc.constantFrom(like.split("_")[1] ?? "", "00000x"), characters(26))
      .map(([code, random]) => `job_${code}_${random}`),
  response: (like) => UNKNOWN.job(like).map((job) => job.replace("job_", "resp_")),
  key: () => characters(8),
  tenant: () => characters(12),
  endpoint: () => characters(32, HEX).map((random) => `whe_${random}`),
  delivery: () => characters(32, HEX).map((random) => `whd_${random}`),
  file: () => characters(26).map((random) => `file-${random}`),
  batch: () => characters(26).map((random) => `batch_${random}`),
  // Never one twice: whoever has used it owns it.
  idempotencyKey: () => fc.constant(null).map(() => randomUUID()),
};

/** What is no id of any kind. */
export const MALFORMED: fc.Arbitrary<string> = fc
  .oneof(
    fc.constantFrom("job_", "%00", "*", "{id}", "hr:{keys}:by-id", "null", "0", "__proto__"),
    fc.string({ minLength: 1, maxLength: 40 }),
    fc.string({ unit: "binary", minLength: 1, maxLength: 20 }),
  )
  .filter((text) => text.isWellFormed() && !/^\.{1,2}$/.test(text));
