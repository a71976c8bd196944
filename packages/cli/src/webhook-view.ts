import type { WebhookDelivery, WebhookEndpoint, WebhookTry } from "@headrace/contract";

import { renderTable, writeInstant } from "./table.ts";
import { paint, type Output } from "./terminal.ts";
import type { Arrival } from "./webhook-listener.ts";

const MARGIN = "  ";

/** Write endpoints as a table, newest first. */
export function renderEndpoints(endpoints: readonly WebhookEndpoint[], output: Output): string[] {
  if (endpoints.length === 0) {
    return [`${MARGIN}No endpoints. \`headrace webhooks create <url>\` makes one.`];
  }
  const rows = endpoints.map((endpoint) => [
    endpoint.id,
    endpoint.url,
    endpoint.event_types.join(","),
    stateOf(endpoint),
  ]);
  return renderTable(["id", "url", "events", "state"], rows, output);
}

/** Write deliveries as a table, newest first. */
export function renderDeliveries(deliveries: readonly WebhookDelivery[], output: Output): string[] {
  if (deliveries.length === 0) return [`${MARGIN}No deliveries within a week.`];
  const rows = deliveries.map(({ id, event, created_at, tries, ...delivery }) => [
    id,
    writeInstant(created_at),
    event.type,
    event.data.id,
    delivery.failure ?? delivery.status,
    describeTries(tries),
  ]);
  return renderTable(["id", "since", "event", "of", "state", "tries"], rows, output);
}

/** Write what has just been received as one line. */
export function renderArrival(arrival: Arrival, output: Output): string {
  const at = paint(output, "dim", new Date().toLocaleTimeString("sv"));
  if ("fault" in arrival) return `${at} ${paint(output, "red", "✗")} ${arrival.fault}`;
  const { event, isRepeat } = arrival;
  const again = isRepeat ? paint(output, "yellow", " (again)") : "";
  const id = paint(output, "dim", event.id);
  return `${at} ${paint(output, "green", "✓")} ${event.type} ${event.data.id} ${id}${again}`;
}

function stateOf({ status, disabled_reason, old_secret_expires_at }: WebhookEndpoint): string {
  if (disabled_reason === "gone") return "disabled: its receiver answered 410";
  if (status === "disabled") return "disabled";
  if (old_secret_expires_at === null) return "enabled";
  return `enabled, old secret ends ${writeInstant(old_secret_expires_at)}`;
}

function describeTries(tries: readonly WebhookTry[]): string {
  const last = tries.at(-1);
  if (last === undefined) return "none yet";
  return `${tries.length}, the last ${last.error ?? String(last.status_code)}`;
}
