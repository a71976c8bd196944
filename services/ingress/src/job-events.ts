import type { JobRecord } from "@headrace/broker";
import {
  cursorSchema,
  formatCursor,
  isAfter,
  isTerminal,
  START,
  type Cursor,
} from "@headrace/contract";

import { writeHead } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { JobEventStream, type Place } from "./job-event-stream.ts";
import { findRecord } from "./job-record.ts";
import { eventsQuerySchema } from "./query.ts";
import type { Services } from "./services.ts";
import { validate } from "./validation.ts";

/** `GET /v1/jobs/{id}/events`: replay what the reader has not seen, then go on live to the end. */
export async function streamJobEvents(
  services: Services,
  exchange: Exchange,
  tenant: string,
): Promise<void> {
  const { broker, events } = services;
  const cursor = readCursor(exchange);
  const record = await findRecord(services, exchange, tenant);
  const place = cursor === null ? FROM_START : await findPlace(services, record, cursor);
  if (place === null) {
    // To an EventSource, 204 means that it need not come again.
    writeHead(exchange, 204, {});
    exchange.response.end();
    return;
  }
  const isQueued = record.status === "queued" && cursor === null;
  const standing = isQueued ? await broker.getStanding(record) : null;
  const isDelivered = await new JobEventStream(services, exchange, record).run(place, standing);
  if (isDelivered && record.retentionMs === 0) {
    await broker
      .forget(tenant, record.id)
      .catch((error: unknown) => events.forgetFailed(record.id, error));
  }
}

const FROM_START: Place = { after: START, isLost: false };

/** The header wins: a reader that comes back has it newer than the URL it began with. */
function readCursor({ request }: Exchange): Cursor | null {
  const query = validate(eventsQuerySchema, { ...request.query });
  const header = request.headers["last-event-id"];
  const sent =
    header === undefined ? query.starting_after : validate(cursorSchema, header, "Last-Event-ID");
  return sent === undefined || !isAfter(sent, START) ? null : sent;
}

/**
 * Find where in the log a reader that comes back goes on.
 *
 * A cursor beyond the log's end was issued before Redis lost what it named: the reader starts over,
 * and is told that what it has is void.
 *
 * @returns null when the reader has seen the job's end
 */
async function findPlace(
  { broker }: Services,
  record: JobRecord,
  after: Cursor,
): Promise<Place | null> {
  const before: Cursor =
    after.index === 0
      ? { epoch: after.epoch - 1, index: Number.MAX_SAFE_INTEGER }
      : { epoch: after.epoch, index: after.index - 1 };
  const [seen, next] = await broker.readLog(record.id, before, 2);
  if (seen === undefined) return { after: START, isLost: true };
  const isLast = seen.id === formatCursor(after) && next === undefined;
  return isLast && isTerminal(record.status) ? null : { after, isLost: false };
}
