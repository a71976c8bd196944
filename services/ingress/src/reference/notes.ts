import type { SchemaName } from "./schemas.ts";

/** What the schemas cannot say of their fields. */
export const NOTES: Readonly<Partial<Record<SchemaName, Readonly<Record<string, string>>>>> = {
  Submit: {
    endpoint: "Which of the engine's endpoints the request is for.",
    request:
      "That endpoint's body. Fields Headrace does not know reach the engine as sent; `priority` does not: an engine that schedules by priority is given the class.",
    priority:
      "Who waits: `interactive` goes first, `batch` last; `standard` gets at least 20 % and `batch` 5 % of what is started while they wait. Tenants share a class by their weights, in tokens: half of the prompt's, and the most the output may be. Default `standard`.",
    deadline_seconds:
      "How long the job may wait to start; then it expires and costs no GPU time. Default 3600.",
    on_retry:
      "What a second attempt does to output already shown: go on where that is exact (else void it), void it, or fail. Default `continue`.",
    retention_seconds:
      "How long the ended job is kept. Default 86400; 0 = deleted once its end was delivered, to a reader of its events or in answer to a GET.",
    metadata: "Yours: up to 16 pairs, shown with the job.",
    webhook:
      "An https URL, on port 443 or 8443 and on the Internet unless the operator lists its host, that is told of the job's end, signed with the secret of `/v1/webhook_secret`. Your webhook endpoints are told besides.",
  },
  Job: {
    created_at: "Unix seconds, like all instants.",
    deadline_at: "When a job that has not started expires.",
    expires_at: "When an ended job is forgotten; null while it is open.",
    attempts: "Attempts so far that count.",
    waiting_reason:
      "Why a queued job is not running: jobs before it, no live worker, or on its way to a worker.",
    queue_position:
      "Jobs before this one, 0 = next; null unless queued. Jobs of higher classes, and of tenants with less waiting, may still come before it.",
    eta_seconds:
      "Seconds until it starts at the rate of the last minute, with what higher classes brought then; null when nothing started lately.",
    result: "The engine's response body, once completed. Lists leave it out.",
    error: "Why it failed or expired.",
    retry_of: "The ended job that this one runs again; null for most.",
    status_url:
      "A path, as are `events_url` and `cancel_url`: whole URLs would depend on the proxies before us.",
  },
  GenerateRequest: {
    model: "Of several that are served; else the operator's default, or the only one.",
    stream: "Texts as they come, as server-sent events.",
  },
  GenerateResponse: {
    ttft_seconds: "From the request's arrival to its first token.",
    tpot_seconds: "Between one token and the next; null where a second attempt went on.",
    total_seconds: "From the request's arrival to the end of the generation.",
  },
  PlainHealth: {
    model: "Null where several are served, and none is the default.",
    model_loaded: "Whether a worker serves it now; without one, calls wait in the queue.",
  },
  ResponseRequest: {
    input: "Text, or items: messages, reasoning, function calls and their outputs.",
    instructions: "Goes before the input, as a system message.",
    background: "Whether the response lives on without its caller. Default false.",
    store: "Whether it can be retrieved for 24 h. Default true; a background response must be.",
    include:
      "`message.output_text.logprobs` gives log probabilities; the others name what is never there.",
    tools:
      "Functions, which the caller runs itself. All are before the model from the start, `defer_loading` or not; `output_schema` is shown again and not told to engines.",
    service_tier:
      "`flex` is priority `batch`; `priority` and `fast` are `interactive`; `auto` and `default` leave it as it is.",
    max_tool_calls: "Shown again; it counts tools that OpenAI runs, of which there are none.",
    metadata: "Yours: up to 16 pairs, shown with the response and its job.",
    user: "Shown again, as are `safety_identifier` and `prompt_cache_key`; engines are not told.",
  },
  Response: {
    created_at: "Unix seconds, like all instants.",
    error: "OpenAI's code and our words; the job, and the `error` event, have our own code.",
    incomplete_details: "Set when the status is `incomplete`.",
    output: "What the model said: items of type `message`, `reasoning` and `function_call`.",
    usage: "Null while it is open, and where the engine did not tell.",
  },
  WebhookEndpoint: {
    status: "A disabled one is sent nothing; what waits for it fails.",
    disabled_reason: "`gone`: the receiver answered 410. Set `status` to `enabled` to go on.",
    signing_secret_hint: "The secret's last characters.",
    old_secret_expires_at:
      "Until when events are also signed with the secret before; null when they are not.",
  },
  WebhookDelivery: {
    endpoint_id: "Null for the webhook of a single job.",
    url: "Of a single job's webhook.",
    failure:
      "Why it is not tried any more: `exhausted`, `gone` (410), `endpoint_disabled`, `endpoint_deleted`, `backlog_full`.",
    next_try_at:
      "At the earliest: a receiver that keeps failing is left alone for up to 5 minutes.",
    tries: "Oldest first; the last 20.",
  },
  BatchForm: {
    input_file_id: "A file that was uploaded with `purpose=batch`.",
    endpoint: "What every line asks for.",
    completion_window: "Whole minutes, hours or days, from `1m` to `7d`: `90m`, `24h`.",
    metadata: "Yours: up to 16 pairs, shown with the batch.",
    output_expires_after: "How long its files are kept, 3600 to 2592000 s. Default 30 days.",
  },
  Batch: {
    created_at: "Unix seconds, like all instants.",
    expires_at: "The end of its window.",
    model: "Null until its file has been read.",
    errors: "What keeps it from being run: up to 100, with their lines.",
    output_file_id: "Lines with an answer; of a batch that expired or was cancelled, too.",
    error_file_id: "Lines that failed, or have no answer.",
    progress:
      "Tokens so far, pace, what is left, cost, what keeps it from being faster (`bottleneck`), and without what it cannot go on (`waiting_for`: `batcher`, `storage`, `storage_space`, `workers`, `queue`).",
  },
  Timeline: {
    error: "Why it failed or expired.",
    attempts: "Oldest first; the last 16.",
    forgotten_attempts: "Attempts before these, of which nothing is kept.",
    latency: "Where the time went; null while the job is open.",
  },
  UsageReport: {
    currency: "What costs are in; null where the operator has not said.",
    data: "By day, key and model, null for what is summed over. Jobs count on the UTC day they ended, however they ended; `gpu_seconds` are each job's share of the time in which its engine had work; costs are at the price of a GPU hour when the job ended.",
  },
  KeyCreate: {
    name: "For people: who or what has it.",
    tenant: "Whose jobs it sees. Default `default`, which is also that of the server's own key.",
    scopes: "Default `submit` and `read`. None includes another.",
    limits: "What it may use at most; without any it is not limited.",
    expires_at: "Unix seconds; without, it does not expire.",
  },
  KeyUpdate: {
    limits: "All of them anew; null takes them away.",
    expires_at: "Null takes it away. An expired key lives again by a later one.",
  },
  KeyRotate: {
    overlap_seconds: "How long secrets there were stay valid. Default 86400; 0 ends them now.",
  },
  KeyLimits: {
    queued_jobs: "Jobs accepted for later that have not ended.",
    concurrent_jobs: "Synchronous calls open at once.",
    monthly_tokens: "In a calendar month (UTC), prompts and outputs together.",
    monthly_cost: "In a calendar month (UTC), in the currency of the price of a GPU hour.",
    models: "Within those above, by the model's name.",
  },
  ApiKey: {
    id: "The part of the key after `hr_`. Jobs, usage and the audit log name the key by it.",
    last_used_at: "To the minute; null when it never was.",
    overlap_ends_at:
      "Until when a secret from before the last rotation is valid; null when none is.",
  },
  NewKey: { key: "What callers send. It cannot be shown again." },
  AuditEntry: {
    at: "By Redis' clock.",
    actor: "Id of the key that the call came with; `root` is the server's own.",
    outcome:
      "`unknown`: Redis did not say whether the change was made; an entry `done` of the same request says that it was.",
    error_code: "What the caller was told; null when it is done.",
    details:
      "What was set; of a change `{field: {from, to}}`. What one key reads, or is denied, has an entry an hour for each action and server, whose `left_out` says how many there were since the one before.",
  },
  ErrorBody: {
    code: "What happened, for programs. Codes are never renamed.",
    param: "The field at fault, as a path: `request.messages[0].role`.",
  },
};
