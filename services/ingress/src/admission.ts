import type { Submission } from "@headrace/broker";

import { gainAllowance } from "./allowance-headers.ts";
import { clientAddressOf } from "./client-address.ts";
import type { Exchange } from "./exchange.ts";
import type { Services } from "./services.ts";
import type { JobForm } from "./submission-form.ts";

const TRY = /^\d{1,3}$/;

/** A form that may be submitted: nothing is left to ask. */
export type Admitted = JobForm & { readonly spec: Submission["spec"] };

/**
 * Have a job's prompt reviewed, and note how long admitting it took and where it comes from. Every way
 * a job comes in ends here: a form cannot be submitted before. What is left of its key's limits goes
 * into the answer's headers, whatever that says.
 *
 * @throws PlatformError `content_rejected`, `content_filter_unavailable`
 */
export async function admit(
  { contentFilter }: Services,
  exchange: Exchange,
  form: JobForm,
): Promise<Admitted> {
  const { spec } = form;
  const request =
    contentFilter === null
      ? spec.request
      : await contentFilter.review({
          endpoint: spec.endpoint,
          model: spec.request.model,
          tenant: spec.tenant,
          request: spec.request,
        });
  return {
    ...form,
    spec: { ...spec, request, admit_ms: performance.now() - exchange.arrivedAtMs },
    address: clientAddressOf(exchange),
    ...toTry(exchange),
    onAllowance: (allowance) => gainAllowance(exchange.gainedHeaders, allowance),
    ...(request === spec.request ? {} : { askedRequest: spec.request }),
  };
}

/** OpenAI's SDKs count their tries of a call, from 0. */
function toTry({ request }: Exchange): Pick<Submission, "sdkTry"> {
  const sent = request.headers["x-stainless-retry-count"];
  return typeof sent === "string" && TRY.test(sent) ? { sdkTry: Number(sent) } : {};
}
