import type { Submission } from "@headrace/broker";

import type { Exchange } from "./exchange.ts";
import type { Services } from "./services.ts";
import type { JobForm } from "./submission-form.ts";

/** A form that may be submitted: nothing is left to ask. */
export type Admitted = JobForm & { readonly spec: Submission["spec"] };

/**
 * Have a job's prompt reviewed, and note how long admitting it took. Every way a job comes in ends
 * here: a form cannot be submitted before.
 *
 * @throws PlatformError `content_rejected`, `content_filter_unavailable`
 */
export async function admit(
  { contentFilter }: Services,
  { arrivedAtMs }: Exchange,
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
    spec: { ...spec, request, admit_ms: performance.now() - arrivedAtMs },
    ...(request === spec.request ? {} : { askedRequest: spec.request }),
  };
}
