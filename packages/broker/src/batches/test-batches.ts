import { newFileId, type FileId } from "@headrace/contract";
import { redisTest } from "@headrace/testkit";

import { WebhookDesk } from "../webhooks/desk.ts";
import { EndpointRegistry } from "../webhooks/endpoint-registry.ts";
import { BatchDesk, type BatchClaim } from "./batch-desk.ts";
import type { BatchRecord } from "./batch-record.ts";
import { BatchRegistry, type NewBatch } from "./batch-registry.ts";
import { EndedBatches } from "./ended-batches.ts";
import type { FileRecord } from "./file-record.ts";
import { FileRegistry, type NewFile } from "./file-registry.ts";
import { Removals } from "./removals.ts";

/** Longer than any test. */
export const LEASE_MS = 60_000;

/** What a test may choose of a file. */
type FileChoices = Partial<Omit<NewFile, "id">> & { readonly id?: FileId };

/** Files and batches on a Redis of their own. */
export const batchTest = redisTest
  .extend("files", async ({ redis }) => new FileRegistry(redis))
  .extend("batches", async ({ redis }) => new BatchRegistry(redis))
  .extend("desk", async ({ redis }) => new BatchDesk(redis))
  .extend("removals", async ({ redis }) => new Removals(redis))
  .extend("endpoints", async ({ redis }) => new EndpointRegistry(redis, Date.now))
  .extend(
    "ended",
    async ({ redis, endpoints }) => new EndedBatches(redis, new WebhookDesk(redis, endpoints)),
  )
  .extend("upload", async ({ files }) => async (choices: FileChoices = {}): Promise<FileRecord> => {
    const { id = newFileId(), ...chosen } = choices;
    await files.begin(id);
    return files.create({
      id,
      tenant: "acme",
      key: "root",
      filename: "prompts.jsonl",
      purpose: "batch",
      sizeBytes: 100,
      lifetimeMs: null,
      ...chosen,
    });
  })
  .extend(
    "make",
    async ({ batches, upload }) =>
      async (choices: Partial<NewBatch> = {}): Promise<BatchRecord> => {
        const { tenant = "acme" } = choices;
        const inputFile = choices.inputFile ?? (await upload({ tenant })).id;
        const made = await batches.create({ ...plainBatch, tenant, ...choices, inputFile });
        return made.batch;
      },
  )
  .extend(
    "claim",
    async ({ desk }) =>
      async (owner = "first", leaseMs = LEASE_MS): Promise<BatchClaim> => {
        const claimed = await desk.claim(owner, leaseMs);
        if (claimed === null) throw new Error("there is no batch to claim");
        return claimed;
      },
  );

/** A batch of the commonest kind. */
export const plainBatch: Omit<NewBatch, "inputFile"> = {
  tenant: "acme",
  key: "root",
  weight: 1,
  limits: null,
  endpoint: "/v1/chat/completions",
  completionWindow: "24h",
  windowMs: 86_400_000,
  metadata: null,
  outputLifetimeMs: null,
  idempotency: null,
};
