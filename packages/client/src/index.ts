export type { Admin, KeyQuery, PageQuery } from "./admin.ts";
export type { Batches, BatchQuery, FileQuery, Files, FileUpload } from "./batches.ts";
export { HeadraceError, type HeadraceErrorFields } from "./error.ts";
export {
  Headrace,
  type CallOptions,
  type HeadraceOptions,
  type JobQuery,
  type UsageQuery,
} from "./headrace.ts";
export {
  isTerminalEvent,
  type FeedOptions,
  type JobEventItem,
  type TerminalEvent,
} from "./job-feed.ts";
export { TextFold, type TextPiece } from "./text-fold.ts";
export { type OnRetry, type Timing } from "./timing.ts";
export { unwrapWebhook, type WebhookDeliveryQuery, type Webhooks } from "./webhooks.ts";
