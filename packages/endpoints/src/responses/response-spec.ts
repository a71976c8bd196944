import type { JobSpec, ResponseRequest } from "@headrace/contract";

/** What the response shows as it was sent. */
const ECHOED = [
  "max_tool_calls",
  "parallel_tool_calls",
  "prompt_cache_key",
  "safety_identifier",
  "tool_choice",
  "user",
] as const;

const TIER_BY_TIER: Readonly<Partial<Record<string, string>>> = {
  flex: "flex",
  priority: "priority",
  fast: "priority",
};

/** What a job keeps of a response's request, beside the chat completion that answers it. */
export function toResponseSpec(request: ResponseRequest): NonNullable<JobSpec["response"]> {
  return {
    is_background: request.background === true,
    is_stored: request.store !== false,
    has_instructions: typeof request.instructions === "string",
    echo: echoOf(request),
  };
}

function echoOf(request: ResponseRequest): Record<string, unknown> {
  const tier = TIER_BY_TIER[request.service_tier ?? ""];
  const sent = ECHOED.map((name) => [name, request[name]]);
  return Object.fromEntries(
    [...sent, ["service_tier", tier]].filter(([, value]) => value !== undefined && value !== null),
  );
}
