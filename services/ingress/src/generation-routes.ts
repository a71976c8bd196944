import { endpointSchema, type Endpoint } from "@headrace/contract";

import { admit } from "./admission.ts";
import type { Caller } from "./caller.ts";
import type { Exchange, Handler, Route } from "./exchange.ts";
import { readJsonBody } from "./request-body.ts";
import type { Services } from "./services.ts";
import { StreamedDelivery } from "./streamed-delivery.ts";
import { readCallForm } from "./submission-form.ts";
import { SynchronousCall } from "./synchronous-call.ts";
import { WholeDelivery } from "./whole-delivery.ts";

/** The engine's own endpoints, answered through the queue. */
export function generationRoutes(services: Services): Route[] {
  return endpointSchema.options.map((path) => ({
    path,
    methods: { POST: generationHandler(services, path) },
  }));
}

function generationHandler(services: Services, endpoint: Endpoint): Handler {
  return async (exchange: Exchange, caller: Caller) => {
    const { request } = exchange;
    const body = await readJsonBody(request, services.bodyLimitBytes);
    const call = await readCallForm(services.broker, caller, {
      endpoint,
      body,
      headers: request.headers,
    });
    const delivery = call.isStreamed
      ? new StreamedDelivery(services, exchange, call)
      : new WholeDelivery(services, exchange, call);
    const form = await admit(services, exchange, call.form);
    await new SynchronousCall(services, exchange, delivery).run(form);
  };
}
