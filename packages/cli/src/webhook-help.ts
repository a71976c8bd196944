import { CONNECTION } from "./connection-help.ts";
import type { WebhookCommandName } from "./webhook-flags.ts";

/** The line that shows how each command on webhooks is written. */
export const WEBHOOK_LINES: Readonly<Record<WebhookCommandName, string>> = {
  "webhooks listen": "headrace webhooks listen [--events job.*] [--secret whsec_…] [flags]",
  "webhooks list": "headrace webhooks list [--json] [flags]",
  "webhooks create": "headrace webhooks create [--events job.*] [--name <name>] [flags] <url>",
  "webhooks enable": "headrace webhooks enable [--json] [flags] <endpoint id>",
  "webhooks delete": "headrace webhooks delete [--json] [flags] <endpoint id>",
  "webhooks rotate": "headrace webhooks rotate [--now] [--json] [flags] <endpoint id>",
  "webhooks secret": "headrace webhooks secret [--now] [--json] [flags]",
  "webhooks log": "headrace webhooks log [--failed] [--json] [flags] [endpoint id]",
  "webhooks replay": "headrace webhooks replay [--since 2h] [flags] <delivery id | endpoint id>",
};

const SCOPES = "It needs a key with the scopes submit and read.";
const EVENTS = `  --events <list>      job.*, response.*, batch.*, or exact types such as job.failed (all of them)`;

/** What \`--help\` prints of them. */
export const WEBHOOK_DETAILS: Readonly<Record<WebhookCommandName, string>> = {
  "webhooks listen": `Receive webhooks on this machine, verify each, and show them until Ctrl-C. An endpoint is made for
it and taken away again; a Headrace that \`up\` runs here can reach it.
${SCOPES}

${EVENTS}
  --secret <secret>    make no endpoint: show what this secret signed, whatever sends it here
  --port <port>        the port to listen on (a free one)
  --host <address>     the address to listen on (127.0.0.1)
  --json               each event as JSON, one a line
${CONNECTION}`,
  "webhooks list": `Show where events are sent.

  --json               the endpoints as the API gives them
${CONNECTION}`,
  "webhooks create": `Have events sent to a URL. The secret that they are signed with goes to standard output, this once.
${SCOPES}

${EVENTS}
  --name <name>        what it is called (its host)
  --json               the endpoint as the API gives it
${CONNECTION}`,
  "webhooks enable": `Have events sent again to an endpoint that was disabled, as one is whose receiver answers 410.
${SCOPES}

  --json               the endpoint as the API gives it
${CONNECTION}`,
  "webhooks delete": `Send an endpoint nothing more.
${SCOPES}

  --json               the API's answer
${CONNECTION}`,
  "webhooks rotate": `Give an endpoint a new secret, which goes to standard output, this once. For 24 hours events are
signed with the old one as well.
${SCOPES}

  --now                the old one signs nothing any more, as when it was leaked
  --json               the endpoint as the API gives it
${CONNECTION}`,
  "webhooks secret": `Make the secret that the webhooks of single jobs (\`submit --webhook\`) are signed with, or another in
its place. It goes to standard output, this once.
${SCOPES}

  --now                an old one signs nothing any more, as when it was leaked
  --json               as the API gives it
${CONNECTION}`,
  "webhooks log": `Show what became of the last 100 deliveries to an endpoint; without one, of single jobs' webhooks.

  --failed             only those that are not tried any more
  --json               the deliveries as the API gives them
${CONNECTION}`,
  "webhooks replay": `Send one delivery again, or all of an endpoint's that failed.
${SCOPES}

  --since <time>       of an endpoint's, those of the last 30m, 2h, 1d (all that are kept)
  --json               the API's answer
${CONNECTION}`,
};
