import { BATCH_DETAILS, BATCH_LINES } from "./batch/batch-help.ts";
import type { CommandName } from "./command-line.ts";
import { CONNECTION } from "./connection-help.ts";
import { WEBHOOK_DETAILS, WEBHOOK_LINES } from "./webhook-help.ts";

/** The line that shows how each command is written. */
const LINES: Readonly<Record<CommandName, string>> = {
  up: "headrace up [--port 8080] [--workers 1] [--once] [more flags]",
  submit: 'headrace submit [flags] "prompt" | -',
  watch: "headrace watch [flags] <job id>",
  get: "headrace get [--timeline] [--json] [flags] <job id>",
  cancel: "headrace cancel [--json] [flags] <job id>",
  doctor: "headrace doctor [--json] [flags]",
  retry: "headrace retry [--detach] [--json] [flags] <job id>",
  "keys create": "headrace keys create [--tenant <name>] [--scopes submit,read] [flags] <name>",
  "keys list": "headrace keys list [--tenant <name>] [--all] [--json] [flags]",
  "keys rotate": "headrace keys rotate [--overlap 24h] [--json] [flags] <key id>",
  "keys revoke": "headrace keys revoke [--json] [flags] <key id>",
  "tenants list": "headrace tenants list [--json] [flags]",
  "tenants set": "headrace tenants set --weight <number> [--json] [flags] <tenant>",
  ...WEBHOOK_LINES,
  ...BATCH_LINES,
  usage: "headrace usage [--from <day>] [--to <day>] [--by day,key,model] [--json] [flags]",
};

const DETAILS: Readonly<Record<CommandName, string>> = {
  up: `Run all of Headrace on this machine, run one job through it, and serve until Ctrl-C.

  --port <port>        the API's port (8080); 0 takes a free one
  --host <address>     the API's address (127.0.0.1)
  --data-dir <folder>  queue, API key and logs (.data)
  --workers <count>    workers to start (1)
  --engine-url <url>   a vLLM or other OpenAI-compatible server, instead of the built-in simulator
  --redis-url <url>    a Redis that runs already, instead of one of its own
  --redis-port <port>  the port of its own Redis (a free one)
  --once               stop after the first job; the exit code tells whether it completed
  --verbose            show the logs of all parts instead of keeping them in files

HEADRACE_DURABILITY says what an accepted job survives: redis (a crash; a power cut may cost the last
second), redis-always (a power cut too), replicated (the loss of the Redis that --redis-url names)`,
  submit: `Queue a generation and watch it: tokens go to standard output as they come, all else to
standard error. "-" reads the prompt from standard input. Ctrl-C leaves the job running.

  --model <name>       which model (the only one there is)
  --endpoint <name>    chat, completions or embeddings (chat)
  --max-tokens <count> most tokens to generate
  --priority <name>    interactive, standard or batch (standard)
  --deadline <time>    give up unless started by then: 30s, 5m, 2h (1h)
  --webhook <url>      told of the end, signed with the secret of \`headrace webhooks secret\`
  --idempotency-key <key>
                       repeat the command that used it: one job, however often it is sent
  --detach             print the job's id and leave
  --json               print the job as JSON, once it has ended (at once with --detach)
${CONNECTION}`,
  watch: `Show what a job has said so far, follow it to its end, and tell where the time went.

${CONNECTION}`,
  get: `Show a job: its state, its result, and where the time went.

  --timeline           what happened to it instead, attempt by attempt
  --json               the job, or its timeline, as the API gives it
${CONNECTION}`,
  cancel: `Stop a job. One that has ended stays as it is.

  --json               the job as the API gives it
${CONNECTION}`,
  doctor: `Look for what is wrong, and say how to mend it: Redis' policy, persistence and memory, clocks,
stuck jobs, what queue and ledger disagree about, workers and engines. Changes nothing. The exit
code is 0 when all is well.

  --json               the findings as the ingress gives them
  --url <url>          the operations port of an ingress (HEADRACE_URL, else what \`up\` runs, else
                       http://127.0.0.1:9090)
  --data-dir <folder>  where \`up\` notes what it runs (.data)`,
  retry: `Run a failed, expired or cancelled job again, as a new job, and watch it as \`submit\` does. The
old one stays as it ended.

  --idempotency-key <key>
                       repeat the command that used it: one job, however often it is sent
  --detach             print the new job's id and leave
  --json               print the job as JSON, once it has ended (at once with --detach)
${CONNECTION}`,
  usage: `Show what was used and what it cost: jobs, tokens, GPU seconds, money.

  --from <day>         first day, UTC, as 2026-11-25 (29 days before the last)
  --to <day>           last day (today)
  --by <groups>        what to tell apart: some of day,key,model (all)
  --tenant <name>      another tenant, for keys with scope admin
  --json               the report as the API gives it
${CONNECTION}`,
  "keys create": `Make an API key for somebody. The key alone goes to standard output, once: it cannot be shown
again. This and all commands on keys and tenants need a key with scope admin.

  --tenant <name>      whose jobs it sees (default)
  --scopes <names>     what it may do: some of submit,read,admin (submit,read)
  --expires <time>     how long it is valid: 12h, 90d (for ever)
  --requests-per-minute <count>, --tokens-per-minute <count>
  --queued-jobs <count>, --concurrent-jobs <count>
  --monthly-tokens <count>, --monthly-cost <amount>
                       what it may use at most (no limits)
  --json               the key as the API gives it, its secret in \`key\`
${CONNECTION}`,
  "keys list": `Show the keys that are valid, newest first.

  --tenant <name>      of this tenant only
  --all                revoked and expired ones too
  --json               the keys as the API gives them
${CONNECTION}`,
  "keys rotate": `Give a key a new secret, and let the old one go on for a while, so that clients can be changed one
by one. The new key alone goes to standard output, once.

  --overlap <time>     how long the old secret goes on: 0, 30m, 24h (24h)
  --json               the key as the API gives it, its secret in \`key\`
${CONNECTION}`,
  "keys revoke": `End a key for good. Every server refuses it within a second, and ends its streams.

  --json               the key as the API gives it
${CONNECTION}`,
  "tenants list": `Show the tenants there are, and what each weighs.

  --json               the tenants as the API gives them
${CONNECTION}`,
  "tenants set": `Set a tenant's weight: of two that both have jobs waiting, one of weight 2 gets twice what one of
weight 1 gets.

  --weight <number>    0.01 to 100; 1 is what everybody has
  --json               the tenant as the API gives it
${CONNECTION}`,
  ...WEBHOOK_DETAILS,
  ...BATCH_DETAILS,
};

/** The usage line of a command, the lines of those that begin with its word; of all when none is known. */
export function usageOf(command: string | null): string {
  const lines = Object.entries(LINES)
    .filter(([name]) => command === null || name === command || name.startsWith(`${command} `))
    .map(([, line]) => line);
  return `usage: ${lines.join("\n       ")}`;
}

/** What `--help` prints: of a command, of all that begin with a word, or of all. */
export function helpOf(topic: string | null): string {
  if (isCommand(topic)) return `${usageOf(topic)}\n\n${DETAILS[topic]}`;
  if (topic !== null)
    return `${usageOf(topic)}\n\n\`headrace ${topic} <command> --help\` tells more.`;
  return `Headrace: a durable queue in front of vLLM GPUs

${usageOf(null)}
       headrace --version

\`headrace <command> --help\` tells more.`;
}

function isCommand(topic: string | null): topic is CommandName {
  return topic !== null && Object.hasOwn(LINES, topic);
}
