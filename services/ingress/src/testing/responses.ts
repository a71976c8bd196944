import { z } from "zod";

import type { TestClient } from "./client.ts";
import { MODEL } from "./simulated-worker.ts";
import type { SseEvent, SseReader } from "./sse-reader.ts";

/** The least that makes a response. */
export const CREATE = { model: MODEL, input: "CANARY" };
/** The least that makes one in the background. */
export const BACKGROUND = { ...CREATE, background: true };

const idSchema = z.object({ id: z.string() });
const numberSchema = z.object({ sequence_number: z.int() });

/** Start a response in the background. @returns its id */
export async function startResponse(client: TestClient, fields: object = {}): Promise<string> {
  const body = { ...BACKGROUND, ...fields };
  return idSchema.parse((await client.call("POST", "/v1/responses", { body })).body).id;
}

/** Read a response's events: all, or those after one. */
export async function openResponse(
  client: TestClient,
  id: string,
  after?: number,
): Promise<SseReader> {
  const place = after === undefined ? "" : `&starting_after=${after}`;
  return client.stream("GET", `/v1/responses/${id}?stream=true${place}`);
}

/** The data of each event. */
export function dataOf(events: readonly SseEvent[]): Record<string, unknown>[] {
  return events.map(({ data }) => z.looseObject({}).parse(JSON.parse(data)));
}

/** The number of an event. */
export function numberOf(event: SseEvent | null): number {
  return numberSchema.parse(JSON.parse(event?.data ?? "")).sequence_number;
}

/** The id of the response that an event tells of. */
export function responseOf(event: SseEvent | null): string {
  return z.object({ response: idSchema }).parse(JSON.parse(event?.data ?? "")).response.id;
}

/** Read on until an event of a type has come. */
export async function readTo(reader: SseReader, type: string): Promise<SseEvent> {
  for (;;) {
    const event = await reader.next();
    if (event === null) throw new Error(`no ${type} came`);
    if (event.event === type) return event;
  }
}
