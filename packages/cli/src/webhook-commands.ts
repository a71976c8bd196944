import type { Headrace } from "@headrace/client";
import type { WebhookDelivery, WebhookEndpoint } from "@headrace/contract";
import { whenAborted } from "@headrace/runtime";

import type { JobContext } from "./job-commands.ts";
import { paint, type Terminal } from "./terminal.ts";
import type { WebhookCommand, WebhookOptions } from "./webhook-flags.ts";
import { WebhookListener } from "./webhook-listener.ts";
import { renderArrival, renderDeliveries, renderEndpoints } from "./webhook-view.ts";

/** Deliveries shown: the API's largest page. */
const SHOWN = 100;
/** How long taking the endpoint away again may take once Ctrl-C was pressed, ms. */
const LEAVE_MS = 5_000;

/** Do what a command on webhooks asks for. @returns the exit code */
export async function runWebhookCommand(
  command: WebhookCommand,
  context: JobContext,
): Promise<number> {
  switch (command.name) {
    case "webhooks listen":
      return listenToWebhooks(command.options, context);
    case "webhooks list":
      return listWebhooks(command.options, context);
    case "webhooks create":
      return createWebhook(command.options, context);
    case "webhooks enable":
      return enableWebhook(command.options, context);
    case "webhooks delete":
      return deleteWebhook(command.options, context);
    case "webhooks rotate":
      return rotateWebhook(command.options, context);
    case "webhooks secret":
      return renewWebhookSecret(command.options, context);
    case "webhooks log":
      return showWebhookLog(command.options, context);
    case "webhooks replay":
      return replayWebhooks(command.options, context);
  }
}

/**
 * Receive webhooks on this machine and show them until Ctrl-C: from an endpoint that is made for it and
 * taken away again, or with a secret from whatever sends them here.
 *
 * @returns the exit code
 */
async function listenToWebhooks(
  { host, port, events, secret, json }: WebhookOptions<"webhooks listen">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const { out, err } = terminal;
  const listener = await WebhookListener.open({
    host,
    port,
    onArrival: (arrival) => {
      if (!json) out.write(`${renderArrival(arrival, out)}\n`);
      else if ("event" in arrival) out.write(`${JSON.stringify(arrival.event)}\n`);
      else err.write(`${renderArrival(arrival, err)}\n`);
    },
  });
  const { url } = listener;
  let endpoint: string | null = null;
  try {
    if (secret === undefined) {
      const form = { url, event_types: events, name: "headrace webhooks listen" };
      const made = await headrace.webhooks.create(form, { signal });
      endpoint = made.id;
      listener.secret = made.signing_secret;
      err.write(`Events come to ${url} until Ctrl-C: ${events.join(", ")}\n`);
    } else {
      listener.secret = secret;
      err.write(`Listening at ${url} until Ctrl-C, for what that secret signed\n`);
    }
    await whenAborted(signal);
    return 0;
  } finally {
    if (endpoint !== null) await leave(headrace, endpoint);
    await listener.close();
  }
}

async function leave(headrace: Headrace, endpoint: string): Promise<void> {
  await headrace.webhooks.delete(endpoint, { signal: AbortSignal.timeout(LEAVE_MS) });
}

/** Show a tenant's endpoints. @returns the exit code */
async function listWebhooks(
  { json }: WebhookOptions<"webhooks list">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  // The API keeps at most 20.
  const { data } = await headrace.webhooks.list({ limit: SHOWN }, { signal });
  show(terminal, { json, value: data, lines: renderEndpoints(data, terminal.out) });
  return 0;
}

/** Have events sent to a URL. Its secret alone goes to standard output. @returns the exit code */
async function createWebhook(
  { positionals: [url], events, name, json }: WebhookOptions<"webhooks create">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const form = { url, event_types: events, ...(name === undefined ? {} : { name }) };
  const made = await headrace.webhooks.create(form, { signal });
  showSecret(made, { json, terminal, line: `${made.id} is told of ${events.join(", ")}` });
  return 0;
}

/** Have events sent again to an endpoint that was disabled. @returns the exit code */
async function enableWebhook(
  { positionals: [id], json }: WebhookOptions<"webhooks enable">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const endpoint = await headrace.webhooks.update(id, { status: "enabled" }, { signal });
  const hint = paint(terminal.out, "bold", `${terminal.command} webhooks replay ${id}`);
  const lines = [`${id} is enabled`, `What failed meanwhile is sent again with: ${hint}`];
  show(terminal, { json, value: endpoint, lines });
  return 0;
}

/** Send an endpoint nothing more. @returns the exit code */
async function deleteWebhook(
  { positionals: [id], json }: WebhookOptions<"webhooks delete">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const deleted = await headrace.webhooks.delete(id, { signal });
  show(terminal, { json, value: deleted, lines: [`${id} is deleted`] });
  return 0;
}

/** Give an endpoint a new secret. @returns the exit code */
async function rotateWebhook(
  { positionals: [id], now, json }: WebhookOptions<"webhooks rotate">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const made = await headrace.webhooks.rotateSecret(id, { keepOld: !now, signal });
  showSecret(made, { json, terminal, line: `${id} has a new secret; ${oldOne(now)}` });
  return 0;
}

/** Make the secret that single jobs' webhooks are signed with. @returns the exit code */
async function renewWebhookSecret(
  { now, json }: WebhookOptions<"webhooks secret">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const made = await headrace.webhooks.renewSecret({ keepOld: !now, signal });
  const isFirst = made.old_secret_expires_at === null && !now;
  const line = `jobs' webhooks have a ${isFirst ? "secret" : `new secret; ${oldOne(now)}`}`;
  showSecret(made, { json, terminal, line });
  return 0;
}

/** Show what became of deliveries: an endpoint's, else those of single jobs. @returns the exit code */
async function showWebhookLog(
  { positionals: [endpoint], failed, json }: WebhookOptions<"webhooks log">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const status = failed ? ("failed" as const) : undefined;
  const { data, has_more: hasMore } = await headrace.webhooks.deliveries(
    { endpoint, status, limit: SHOWN },
    { signal },
  );
  show(terminal, { json, value: data, lines: renderDeliveries(data, terminal.out) });
  if (hasMore && !json) terminal.err.write(`There are more than these ${SHOWN}.\n`);
  return 0;
}

/** Send one delivery again, or all of an endpoint's that failed. @returns the exit code */
async function replayWebhooks(
  { positionals: [id], since, json }: WebhookOptions<"webhooks replay">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  if (id.startsWith("whd_")) {
    const delivery: WebhookDelivery = await headrace.webhooks.replay(id, { signal });
    show(terminal, { json, value: delivery, lines: [`${id} is sent again`] });
    return 0;
  }
  const from = since === undefined ? undefined : Math.max(Date.now() / 1_000 - since, 0);
  const replay = await headrace.webhooks.replayFailed(id, { since: from, signal });
  show(terminal, { json, value: replay, lines: [`${replay.replayed} are sent again`] });
  return 0;
}

function oldOne(isOver: boolean): string {
  return isOver ? "the old one signs nothing any more" : "the old one signs too, for 24 h";
}

/** A secret is shown this once, and to nobody who reads only what is said about it. */
function showSecret(
  made: Pick<WebhookEndpoint, "signing_secret_hint"> & { readonly signing_secret: string },
  {
    json,
    terminal,
    line,
  }: { readonly json: boolean; readonly terminal: Terminal; readonly line: string },
): void {
  const { err } = terminal;
  if (!json) {
    err.write(`${paint(err, "green", "✓")} ${line}\n`);
    err.write(`${paint(err, "dim", "  Keep it now: it cannot be shown again.")}\n`);
  }
  show(terminal, { json, value: made, lines: [made.signing_secret] });
}

function show(
  { out }: Terminal,
  {
    json,
    value,
    lines,
  }: { readonly json: boolean; readonly value: object; readonly lines: readonly string[] },
): void {
  out.write(`${json ? JSON.stringify(value, null, 2) : lines.join("\n")}\n`);
}
