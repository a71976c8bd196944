import { createHash } from "node:crypto";

import {
  modelCodeOf,
  modelCodeSchema,
  type BatchId,
  type FileId,
  type JobId,
  type ModelCode,
} from "@headrace/contract";

/**
 * Every Redis key of Headrace, and the one place that spells them.
 *
 * | key | slot | type | writer | bound | lives | repaired by |
 * | --- | --- | --- | --- | --- | --- | --- |
 * | `hr:{models}:by-name` | models | hash | worker, on start | one field per model name | for ever | worker, every 5 s |
 * | `hr:{models}:by-code` | models | hash | worker, on start | one field per model | for ever | worker, every 5 s |
 * | `hr:{models}:outputs` | models | hash | settler | one field per model | for ever | next settle |
 * | `hr:{models}:booked` | models | zset | ingress, batcher | tenants whose slots hold something | until they hold nothing | ingress, with a submit each 5 s |
 * | `hr:{models}:tenants` | models | set | earlier builds | the same | until a later build's sweep | - |
 * | `hr:{models}:sweep` | models | string | sweep | one | 15 s | next sweep |
 * | `hr:{<code>}:job:<id>` | model | hash | accept, claim, append, finish … | request ≤ body limit | open: for ever; ended: retention | sweep |
 * | `hr:{<code>}:log:<id>` | model | stream | claim, append, finish … | worker's output limit × attempts | as the entry | next attempt: goes on from it or trims it |
 * | `hr:{<code>}:open` | model | zset | accept, end | open jobs | for ever | sweep |
 * | `hr:{<code>}:deadline` | model | zset | accept, claim, end | jobs not started | for ever | sweep |
 * | `hr:{<code>}:attached` | model | zset | accept, end | open synchronous jobs | for ever | sweep |
 * | `hr:{<code>}:versions` | model | zset | accept, sweep | versions that jobs wait for | for ever | sweep |
 * | `hr:{<code>}:starts` | model | hash | claim | 7 fields | 70 s | next claim |
 * | `hr:{<code>}:workers` | model | zset | worker, every 5 s | live workers, dead ones trimmed | for ever | worker |
 * | `hr:{<code>}:worker:<worker>` | model | string | worker, every 5 s | one per worker | 15 s | worker |
 * | `hr:{<code>}:idle:<version>` | model | string | backlog | one per version | 2.5 s | next wait |
 * | `hr:{<code>}:picky:<version>` | model | string | backlog | one per version | 2.5 s | next wait |
 * | `hr:{<code>}:others:<version>` | model | zset | ingress, worker | one member | for ever | the worker that takes it |
 * | `hr:{<code>}:turns:<version>` | model | hash | accept, claim, end | ≤ 4 × tenants with waiting jobs + 72 fields | for ever | accept: starts anew |
 * | `hr:{<code>}:lease:<ingress>` | model | string | ingress, every 5 s | one per ingress | 15 s | ingress |
 * | `hr:{<code>}:mark` | model | string | ingress, `replicated` level | one | 60 s | next submit |
 * | `hr:{<code>}:sweep` | model | string | sweep | one | 15 s | next sweep |
 * | `hr:{<code>}:outbox` | model | stream | end | jobs ended and not yet settled | for ever | settler |
 * | `hr:{<code>}:ended:<batch>` | model | list | end | 10,000 ids of lines that ended | 1 h from the last on | batcher, which looks all up |
 * | `hr:{<code>}:batch-demand` | model | hash | batcher, every 2 s | one field per open batch of the model | until the batch's end | reader, once its window is over |
 * | `hr:{<code>}:inbox:<process>` | model | sharded channel | append, cancel | no storage | - | reader polls the log |
 * | `hr:{<code>}:q:<version>:*` | model | BullMQ's | BullMQ | open jobs | BullMQ's, or as the version | sweep, stalled check |
 * | `hr:{t:<tenant>}:jobs` | tenant | zset | reserve | jobs not yet forgotten | for ever | sweep |
 * | `hr:{t:<tenant>}:stored` | tenant | hash | reserve, settle | bytes, one field per large job of the list | as the list | as the list |
 * | `hr:{t:<tenant>}:reserved` | tenant | zset | reserve, submit | keyed submits under way | for ever | sweep |
 * | `hr:{t:<tenant>}:webhooks` | tenant | hash | ingress, webhooks | 20 endpoints | for ever | - |
 * | `hr:{t:<tenant>}:webhook-secrets` | tenant | hash | ingress | one field | for ever | - |
 * | `hr:{t:<tenant>}:once:<digest>` | tenant | string | reserve | one per Idempotency-Key | 24 h or more | its time to live |
 * | `hr:{t:<tenant>}:again:<digest>` | tenant | string | reserve | one per call of OpenAI's SDK | 10 min | its time to live |
 * | `hr:{t:<tenant>}:settled` | tenant | hash | settle | one field per model | for ever | next settle |
 * | `hr:{t:<tenant>}:usage:<day>` | tenant | hash | settle | five fields per key and model | 400 days | its time to live |
 * | `hr:{t:<tenant>}:month:<month>` | tenant | hash | settle | two fields per key | 400 days | its time to live |
 * | `hr:{keys}:by-id` | keys | hash | admin calls | 10,000 keys | until deleted | - |
 * | `hr:{keys}:by-age` | keys | zset | admin calls | one member per key | as the key | - |
 * | `hr:{keys}:used` | keys | hash | ingress, every minute | one field per key | as the key | next use |
 * | `hr:{keys}:tenants` | keys | hash | admin calls | 10,000 tenants | for ever | - |
 * | `hr:{keys}:version` | keys | string | admin calls | one | for ever | next change |
 * | `hr:{keys}:mark` | keys | string | admin calls, `replicated` level | one | 60 s | next change |
 * | `hr:{keys}:audit` | keys | stream | admin calls that change something | 10,000 entries | trimmed | - |
 * | `hr:{keys}:audit-refused` | keys | stream | admin calls denied or refused | 10,000 entries | trimmed | - |
 * | `hr:{keys}:audit-read` | keys | stream | admin calls that read | 10,000 entries | trimmed | - |
 * | `hr:{t:<tenant>}:buckets:<key>` | tenant | hash | reserve, settle | four fields per limited model | 14 days from its last job on | its time to live |
 * | `hr:{t:<tenant>}:address:<address>` | tenant | hash | reserve | one field | until full again | its time to live |
 * | `hr:{t:<tenant>}:held:<key>:<kind>` | tenant | zset | reserve, settle | open jobs of a key with limits | for ever | settler, sweep |
 * | `hr:{t:<tenant>}:holders` | tenant | set | reserve | keys with limits that have open jobs | for ever | sweep |
 * | `hr:{t:<tenant>}:owed` | tenant | hash | reserve, settle | one field per key with limits and open jobs | for ever | as the holds |
 * | `hr:{webhooks}:tenants` | webhooks | zset | webhook-* | tenants that events wait for | for ever | next claim |
 * | `hr:{webhooks}:leases` | webhooks | zset | claim, settle | deliveries under way | for ever | next claim |
 * | `hr:{webhooks}:tenant:<tenant>` | webhooks | hash | webhook-* | 3 fields | 1 h from its last delivery on | - |
 * | `hr:{webhooks}:lanes:<tenant>` | webhooks | zset | webhook-* | receivers that events wait for | for ever | next settle |
 * | `hr:{webhooks}:lane:<lane>` | webhooks | hash | claim, settle | 5 fields | 26 h from its last delivery on | - |
 * | `hr:{webhooks}:due:<lane>` | webhooks | zset | webhook-* | 10,000, of a tenant 50,000 | for ever | - |
 * | `hr:{webhooks}:delivery:<id>` | webhooks | hash | webhook-* | event, URL, 20 tries | waiting: 4 days; ended: 7 days | - |
 * | `hr:{webhooks}:log:<target>` | webhooks | zset | webhook-* | what waits, and 1,000 that ended | 7 days | - |
 * | `hr:{webhooks}:ended:<target>` | webhooks | zset | settle | 1,000 | 7 days | - |
 * | `hr:{batches}:file:<id>` | batches | hash | file-create, batch-finish | 10,000 uploads a tenant | until deleted or expired | batcher's sweep |
 * | `hr:{batches}:files:<tenant>` | batches | zset | as the file | one member per file | as the file | batcher's sweep |
 * | `hr:{batches}:file-expiry` | batches | zset | as the file | one member per file that expires | as the file | batcher's sweep |
 * | `hr:{batches}:file-uses:<file>` | batches | set | batch-create, finish | open batches that read the file | until they end | - |
 * | `hr:{batches}:removals` | batches | zset | whoever stores or drops an object | objects under way, and to be removed | until removed | batcher's sweep |
 * | `hr:{batches}:batch:<id>` | batches | hash | batch-* | 256 kB of checkpoint, 100 errors | open: for ever; ended: 30 days | next claim |
 * | `hr:{batches}:segments:<id>` | batches | zset | batch-write | one name per segment | until the batch ends | next claim |
 * | `hr:{batches}:batches:<tenant>` | batches | zset | batch-create | one member per batch | as the batch | batch-create |
 * | `hr:{batches}:open` | batches | zset | batch-* | 500 a tenant | until the batch ends | batch-claim |
 * | `hr:{batches}:open-of:<tenant>` | batches | set | batch-create, finish | 500 | until the batch ends | - |
 * | `hr:{batches}:ended` | batches | zset | batch-finish | batches that ended and were not yet told of | until told | batcher |
 * | `hr:{batches}:once:<tenant>:<digest>` | batches | string | batch-create | one per Idempotency-Key | 24 h | its time to live |
 */
export const keys = {
  modelsByName: "hr:{models}:by-name",
  modelsByCode: "hr:{models}:by-code",
  /** What chats took lately that set no bound to their output, by model code. */
  typicalOutputs: "hr:{models}:outputs",
  booked: "hr:{models}:booked",
  /** What earlier builds enter, which know no `booked`. */
  earlierTenants: "hr:{models}:tenants",
  /** Lease of the one who looks after the tenants' slots. */
  tenantSweep: "hr:{models}:sweep",

  apiKeys: "hr:{keys}:by-id",
  apiKeysByAge: "hr:{keys}:by-age",
  apiKeysUsed: "hr:{keys}:used",
  tenantSettings: "hr:{keys}:tenants",
  /** When keys or tenants last changed: what every ingress looks at twice a second. */
  apiKeysVersion: "hr:{keys}:version",
  apiKeysMark: "hr:{keys}:mark",
  audit: "hr:{keys}:audit",
  /** Kept apart, so that whoever is refused again and again pushes out nothing that was done. */
  auditRefused: "hr:{keys}:audit-refused",
  auditRead: "hr:{keys}:audit-read",

  slot: (code: ModelCode): string => `hr:{${code}}`,
  slotOf: (job: JobId): string => `hr:{${modelCodeOf(job)}}`,
  entry: (job: JobId): string => `${keys.slotOf(job)}:job:${job}`,
  log: (job: JobId): string => `${keys.slotOf(job)}:log:${job}`,
  open: (code: ModelCode): string => `hr:{${code}}:open`,
  deadline: (code: ModelCode): string => `hr:{${code}}:deadline`,
  attached: (code: ModelCode): string => `hr:{${code}}:attached`,
  versions: (code: ModelCode): string => `hr:{${code}}:versions`,
  /** Not `:flow`, which earlier builds read and write in another form. */
  flow: (code: ModelCode): string => `hr:{${code}}:starts`,
  workers: (code: ModelCode): string => `hr:{${code}}:workers`,
  worker: (code: ModelCode, worker: string): string => `hr:{${code}}:worker:${worker}`,
  idle: (code: ModelCode, version: string): string => `hr:{${code}}:idle:${version}`,
  picky: (code: ModelCode, version: string): string => `hr:{${code}}:picky:${version}`,
  others: (code: ModelCode, version: string): string => `hr:{${code}}:others:${version}`,
  turns: (code: ModelCode, version: string): string => `hr:{${code}}:turns:${version}`,
  lease: (code: ModelCode, ingress: string): string => `hr:{${code}}:lease:${ingress}`,
  mark: (code: ModelCode): string => `hr:{${code}}:mark`,
  sweep: (code: ModelCode): string => `hr:{${code}}:sweep`,
  outbox: (code: ModelCode): string => `hr:{${code}}:outbox`,
  ended: (code: ModelCode, batch: BatchId): string => `hr:{${code}}:ended:${batch}`,
  batchDemand: (code: ModelCode): string => `hr:{${code}}:batch-demand`,
  inbox: (code: ModelCode, process: string): string => `hr:{${code}}:inbox:${process}`,

  /** BullMQ's `prefix` option: it appends `:<queue>:<key>`. */
  queuePrefix: (code: ModelCode): string => `hr:{${code}}:q`,
  /** One of BullMQ's own keys, or with a job's id that job's. */
  queue: (code: ModelCode, version: string, key: string): string =>
    `hr:{${code}}:q:${version}:${key}`,

  /** BullMQ's lock of a job. */
  lock: (code: ModelCode, version: string, job: JobId): string =>
    `hr:{${code}}:q:${version}:${job}:lock`,

  tenantSlot: (tenant: string): string => `hr:{t:${tenant}}`,
  settled: (tenant: string): string => `hr:{t:${tenant}}:settled`,
  buckets: (tenant: string, key: string): string => `hr:{t:${tenant}}:buckets:${key}`,
  address: (tenant: string, address: string): string => `hr:{t:${tenant}}:address:${address}`,
  held: (tenant: string, key: string, kind: string): string =>
    `hr:{t:${tenant}}:held:${key}:${kind}`,
  holders: (tenant: string): string => `hr:{t:${tenant}}:holders`,
  owed: (tenant: string): string => `hr:{t:${tenant}}:owed`,
  /** @param day UTC, as `2026-11-25` */
  usage: (tenant: string, day: string): string => `hr:{t:${tenant}}:usage:${day}`,
  /** Its scripts make the names of the lists in it from this. */
  webhookSlot: "hr:{webhooks}",
  webhookTenants: "hr:{webhooks}:tenants",
  webhookDelivery: (delivery: string): string => `hr:{webhooks}:delivery:${delivery}`,
  webhookDue: (lane: string): string => `hr:{webhooks}:due:${lane}`,
  webhookLog: (target: string): string => `hr:{webhooks}:log:${target}`,
  webhooks: (tenant: string): string => `hr:{t:${tenant}}:webhooks`,
  webhookSecrets: (tenant: string): string => `hr:{t:${tenant}}:webhook-secrets`,

  /** Its scripts make most names in it from this. */
  batchSlot: "hr:{batches}",
  file: (file: FileId): string => `hr:{batches}:file:${file}`,
  files: (tenant: string): string => `hr:{batches}:files:${tenant}`,
  fileExpiry: "hr:{batches}:file-expiry",
  removals: "hr:{batches}:removals",
  batch: (batch: BatchId): string => `hr:{batches}:batch:${batch}`,
  batchSegments: (batch: BatchId): string => `hr:{batches}:segments:${batch}`,
  batches: (tenant: string): string => `hr:{batches}:batches:${tenant}`,
  openBatches: "hr:{batches}:open",
  endedBatches: "hr:{batches}:ended",
  batchOnce: (tenant: string, idempotencyKey: string): string =>
    `hr:{batches}:once:${tenant}:${digestOf(idempotencyKey)}`,

  jobs: (tenant: string): string => `hr:{t:${tenant}}:jobs`,
  stored: (tenant: string): string => `hr:{t:${tenant}}:stored`,
  reserved: (tenant: string): string => `hr:{t:${tenant}}:reserved`,
  /** The caller's key may hold anything: only its digest becomes part of a Redis key. */
  once: (tenant: string, idempotencyKey: string): string =>
    `hr:{t:${tenant}}:once:${digestOf(idempotencyKey)}`,
  /** The same for a call of OpenAI's SDK, whose key is what it says. */
  again: (tenant: string, call: string): string => `hr:{t:${tenant}}:again:${digestOf(call)}`,
};

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

/** Matches the `workers` key of every model. */
export const ANY_WORKERS = "hr:{*}:workers";

/** Read which model's a `workers` key is. */
export function codeOfWorkers(key: string): ModelCode {
  return modelCodeSchema.parse(/^hr:\{(.*)\}:workers$/.exec(key)?.[1]);
}

/** The keys that a script which may end a job takes first, in the order it names them. */
export function endingKeys(job: JobId): string[] {
  const code = modelCodeOf(job);
  return [
    keys.entry(job),
    keys.log(job),
    keys.open(code),
    keys.deadline(code),
    keys.attached(code),
  ];
}
