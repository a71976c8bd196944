import type { WholeRecord } from "@headrace/broker";
import {
  responseIdOf,
  type JobId,
  type Response,
  type ResponseDeleted,
  type ResponseItemList,
} from "@headrace/contract";
import { findPlace, firstPlace, refusal, toResponse } from "@headrace/endpoints";

import { admit, type Admitted } from "../admission.ts";
import { sendJson, type Headers } from "../answer.ts";
import { handlersOf } from "../handler.ts";
import { toPage } from "../page.ts";
import { mayRead, type Caller } from "../caller.ts";
import type { Exchange, Route } from "../exchange.ts";
import { readEmptyBody, readJsonBody } from "../request-body.ts";
import type { Services } from "../services.ts";
import { JOB_HEADER, SynchronousCall } from "../synchronous-call.ts";
import { toInputItems } from "./input-items.ts";
import { StreamedResponse, WholeResponse } from "./response-deliveries.ts";
import { ResponseEventStream } from "./response-event-stream.ts";
import { readResponseForm, type ResponseForm } from "./response-form.ts";
import { readItemsQuery, readResponseQuery } from "./response-query.ts";
import { asResponse, findResponse, readResponse } from "./response-record.ts";

/** OpenAI's Responses API. */
export function responseRoutes(services: Services): Route[] {
  const handle = handlersOf(services);
  return [
    { path: "/v1/responses", methods: { POST: handle(createResponse) } },
    {
      path: "/v1/responses/{id}",
      isHeldOpen: true,
      methods: { GET: handle(retrieveResponse), DELETE: handle(deleteResponse) },
    },
    { path: "/v1/responses/{id}/cancel", methods: { POST: handle(cancelResponse) } },
    { path: "/v1/responses/{id}/input_items", methods: { GET: handle(listInputItems) } },
  ];
}

async function createResponse(
  services: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const { headers } = exchange.request;
  const body = await readJsonBody(exchange.request, services.bodyLimitBytes);
  const asked = await readResponseForm(services.broker, caller, { body, headers });
  const form = { ...asked, form: await admit(services, exchange, asked.form) };
  if (form.isBackground) return startInBackground(services, exchange, form);
  const delivery = form.isStreamed
    ? new StreamedResponse(services, exchange, form)
    : new WholeResponse(services, exchange, form);
  await new SynchronousCall(services, exchange, delivery).run(form.form);
}

/** Take the response's job in, and answer with its state, or with its events from the first on. */
async function startInBackground(
  services: Services,
  exchange: Exchange,
  { form, isStreamed }: ResponseForm & { readonly form: Admitted },
): Promise<void> {
  const submitted = await services.broker.submit({ ...form, attachedTo: null });
  const { id, isNew, acceptedAtMs } = submitted;
  const headers: Headers = {
    location: `/v1/responses/${responseIdOf(id)}`,
    [JOB_HEADER]: id,
    ...(isNew ? {} : { "idempotent-replayed": "true" }),
  };
  if (isStreamed) {
    const job = { id, spec: form.spec, acceptedAtMs };
    await new ResponseEventStream(services, exchange, { place: firstPlace(job), headers }).runNew(
      id,
    );
    return;
  }
  const created = toResponse({ id, spec: form.spec, acceptedAtMs }, { status: "queued" });
  const response = isNew ? created : await readNow(services, form.spec.tenant, id);
  sendJson(exchange, 200, { body: response, headers });
}

async function retrieveResponse(
  services: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const { isStreamed, startingAfter } = readResponseQuery(exchange.request);
  const { broker, reads } = services;
  const find = (): Promise<WholeRecord> => findResponse(services, exchange, caller);
  if (!isStreamed) {
    const read = async (): Promise<Response> => readResponse(broker, await find());
    sendJson(exchange, 200, { body: await reads.take(caller.tenant, read) });
    return;
  }
  const record = await reads.take(caller.tenant, find);
  const place =
    startingAfter === null ? firstPlace(record) : await findPlace(broker, record, startingAfter);
  const headers = { [JOB_HEADER]: record.id };
  await new ResponseEventStream(services, exchange, { place, headers }).run(record.id);
}

/** Cancel a response; one that has ended stays as it ended. */
async function cancelResponse(
  services: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  await readEmptyBody(exchange.request, services.bodyLimitBytes);
  const record = await findResponse(services, exchange, caller);
  if (record.spec.response?.is_background !== true) {
    throw refusal("response_id", "it is not a background response; to cancel it, hang up");
  }
  await asResponse(record.id, () => services.broker.cancel(record));
  const response = await readNow(services, caller.tenant, record.id);
  const body = mayRead(caller)
    ? response
    : { ...response, output: [], instructions: null, metadata: {} };
  sendJson(exchange, 200, { body });
}

async function deleteResponse(
  services: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const record = await findResponse(services, exchange, caller);
  const id = responseIdOf(record.id);
  await asResponse(record.id, () => services.broker.deleteJob(record));
  const body: ResponseDeleted = { id, object: "response", deleted: true };
  sendJson(exchange, 200, { body });
}

async function listInputItems(
  services: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const { limit, order, after } = readItemsQuery(exchange.request);
  const items = toInputItems(await findResponse(services, exchange, caller));
  const ordered = order === "asc" ? items : items.toReversed();
  const start = after === undefined ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && start === 0)
    throw refusal("after", "no item of the input has this id");
  const data = ordered.slice(start, start + limit);
  const body: ResponseItemList = toPage(data, start + data.length < ordered.length);
  sendJson(exchange, 200, { body });
}

async function readNow({ broker, reads }: Services, tenant: string, id: JobId): Promise<Response> {
  const read = async (): Promise<Response> =>
    readResponse(broker, await broker.getWhole(await broker.getJob(tenant, id)));
  return asResponse(id, () => reads.take(tenant, read));
}
