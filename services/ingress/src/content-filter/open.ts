import { ConfigurationError } from "@headrace/runtime";

import type { Events } from "../events.ts";
import { ContentFilter, type Reviewer } from "./content-filter.ts";
import { ModuleReviewer } from "./module-reviewer.ts";
import { UrlReviewer } from "./url-reviewer.ts";

/** Who reviews prompts, if anybody, and what that may take. */
export interface ContentFilterConfig {
  readonly url: string | null;
  readonly token: string | null;
  readonly modulePath: string | null;
  readonly timeoutMs: number;
  readonly passesOnFailure: boolean;
}

/**
 * Find the reviewer that the operator chose. A module is loaded here, so that one that cannot be
 * stops the process as it starts.
 *
 * @returns null when there is none
 * @throws ConfigurationError when both are chosen, or the module is none
 */
export async function openReviewer(
  { url, token, modulePath }: ContentFilterConfig,
  bodyLimitBytes: number,
): Promise<Reviewer | null> {
  if (url !== null && modulePath !== null) {
    throw new ConfigurationError(
      "INGRESS_CONTENT_FILTER_URL and INGRESS_CONTENT_FILTER_MODULE are both set; set one",
    );
  }
  if (modulePath !== null) return ModuleReviewer.load(modulePath);
  return url === null ? null : new UrlReviewer({ url, token, bodyLimitBytes });
}

/** Put a filter around the reviewer, if there is one. */
export function toContentFilter(
  reviewer: Reviewer | null,
  { timeoutMs, passesOnFailure }: ContentFilterConfig,
  events: Events,
): ContentFilter | null {
  if (reviewer === null) return null;
  return new ContentFilter({ reviewer, timeoutMs, passesOnFailure, events });
}
