// for an ingress
export type { ApiKeyCache } from "./api-key-cache.ts";
export { digestApiKey, type KeyRecord } from "./api-key-record.ts";
export type { AuditListener, AuditNote, AuditRecord, AuditSubject } from "./audit-log.ts";
export type { AttemptHistory, PastAttempt } from "./attempt-history.ts";
export { REFUSAL_REASONS, type Allowance, type Quota, type Quotas } from "./allowance.ts";
export { IngressBroker, TENANT_SHARE, type IngressBrokerOptions } from "./ingress-broker.ts";
export { isAnswering, type ReplicaState } from "./fitness.ts";
export type { Follower, Reader } from "./follower.ts";
export type { JobQuery } from "./job-list.ts";
export type { Inspection, ModelInspection, RedisInspection } from "./inspection.ts";
export type { JobRecord, WholeRecord } from "./job-record.ts";
export type { KnownModel } from "./model-registry.ts";
export type { Standing } from "./standing.ts";
export type { Submission, Submitted } from "./submission.ts";
export type { SweepCounts } from "./sweep.ts";
export type { DayUsage } from "./usage-book.ts";
export type { TenantRecord } from "./tenant-desk.ts";
export { isTerminalEntry, type LogEntry, type LogEntryType } from "./token-log.ts";
export type { DeliveryRecord } from "./webhooks/delivery-record.ts";
export type { ListedDelivery } from "./webhooks/delivery-log.ts";
export type { DefaultSecretRecord, EndpointRecord } from "./webhooks/endpoint-registry.ts";
export type { IngressWebhooks, TenantDeliveryQuery } from "./webhooks/ingress-webhooks.ts";
export { describeSecrets, type Secrets } from "./webhooks/secrets.ts";

// for a worker
export type { Attempt } from "./claim.ts";
export {
  WorkerBroker,
  type Ending,
  type ReleaseReason,
  type WorkerBrokerOptions,
} from "./worker-broker.ts";
export type { EngineState, WorkerStatus } from "./worker-presence.ts";
export type { BatchSlots, Slots } from "./intake.ts";
export { ESTIMATE, estimateTokens } from "@headrace/contract/token-estimate";
export { writeTokenIds, type IdsBefore } from "./token-ids.ts";
export type { WrittenOutput } from "./written-output.ts";
export type { LogItem, LossReason, Source } from "./token-writer.ts";

// for what has tenants told of events
export { DeliveryLog } from "./webhooks/delivery-log.ts";
export { jobsTarget, WebhookDesk, type Occurrence } from "./webhooks/desk.ts";
export { EndpointRegistry } from "./webhooks/endpoint-registry.ts";

// for what delivers webhooks
export type {
  ClaimedDelivery,
  ReceiverHealth,
  Report as DeliveryReport,
  Settlement,
} from "./webhooks/delivery-queue.ts";
export {
  WebhookBroker,
  type Recipient,
  type WebhookBrokerOptions,
} from "./webhooks/webhook-broker.ts";

// for batches and their files
export { BatchBroker, type BatchBrokerOptions } from "./batches/batch-broker.ts";
export { BatchDesk, outputFileId } from "./batches/batch-desk.ts";
export type {
  BatchChange,
  BatchClaim,
  BatchEnd,
  BatchEnding,
  BatchStanding,
  OutputKind,
} from "./batches/batch-desk.ts";
export { objectsOfBatch, type BatchRecord } from "./batches/batch-record.ts";
export { BatchRegistry, type BatchQuery, type NewBatch } from "./batches/batch-registry.ts";
export { EndedBatches } from "./batches/ended-batches.ts";
export type { LineState, LineSubmission, SubmittedLine } from "./batches/line-desk.ts";
export { lineJobId, type LineTry } from "./batches/line-id.ts";
export { objectOfFile, type FileRecord } from "./batches/file-record.ts";
export { FileRegistry, type FileQuery, type NewFile } from "./batches/file-registry.ts";
export { Removals } from "./batches/removals.ts";
