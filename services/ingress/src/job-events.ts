import type { JobRecord } from "@headrace/broker";
import {
  cursorSchema,
  formatCursor,
  isAfter,
  isTerminal,
  START,
  type Cursor,
} from "@headrace/contract";
import { validate } from "@headrace/endpoints";

import { writeHead } from "./answer.ts";
import type { Caller } from "./caller.ts";
import type { Exchange } from "./exchange.ts";
import { JobEventStream } from "./job-event-stream.ts";
import { findRecord } from "./job-record.ts";
import { eventsQuerySchema } from "./query.ts";
import type { Services } from "./services.ts";

/** `GET /v1/jobs/{id}/events`: replay what the reader has not seen, then go on live to the end. */
export async function streamJobEvents(
  services: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const { broker, events } = services;
  const cursor = readCursor(exchange);
  const record = await findRecord(services, exchange, caller);
  if (cursor !== null && isTerminal(record.status) && (await isEnd(services, record, cursor))) {
    // To an EventSource, 204 means that it need not come again.
    writeHead(exchange, 204, {});
    exchange.response.end();
    return;
  }
  const isQueued = record.status === "queued" && cursor === null;
  const standing = isQueued ? await broker.getStanding(record) : null;
  const isDelivered = await new JobEventStream(services, exchange, record).run(
    cursor ?? START,
    standing,
  );
  if (isDelivered && record.retentionMs === 0) {
    await broker
      .forget(caller.tenant, record.id)
      .catch((error: unknown) => events.forgetFailed(record.id, error));
  }
}

/** The header wins: a reader that comes back has it newer than the URL it began with. */
function readCursor({ request }: Exchange): Cursor | null {
  const query = validate(eventsQuerySchema, { ...request.query });
  const header = request.headers["last-event-id"];
  const sent =
    header === undefined ? query.starting_after : validate(cursorSchema, header, "Last-Event-ID");
  return sent === undefined || !isAfter(sent, START) ? null : sent;
}

/** Whether a cursor is the last of its job's log, so that there is nothing left to come. */
async function isEnd({ broker }: Services, record: JobRecord, cursor: Cursor): Promise<boolean> {
  const before: Cursor =
    cursor.index === 0
      ? { epoch: cursor.epoch - 1, index: Number.MAX_SAFE_INTEGER }
      : { epoch: cursor.epoch, index: cursor.index - 1 };
  const [seen, next] = await broker.readLog(record.id, before, 2);
  return seen?.id === formatCursor(cursor) && next === undefined;
}
