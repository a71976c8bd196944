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

/** What an engine is told of a tool. */
const NO_TOOL = { type: "function", description: null, parameters: null, strict: null };
const ENGINES: ReadonlySet<string> = new Set(["name", ...Object.keys(NO_TOOL)]);

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
  const others = [
    ["service_tier", tier],
    ["tools", toolsBeyond(request)],
  ];
  return Object.fromEntries(
    [...sent, ...others].filter(([, value]) => value !== undefined && value !== null),
  );
}

/** Tools as they were sent, where they say what the chat completion cannot. */
function toolsBeyond({ tools }: ResponseRequest): object[] | undefined {
  const isBeyond = tools?.some((tool) => Object.keys(tool).some((field) => !ENGINES.has(field)));
  return isBeyond === true ? tools?.map((tool) => ({ ...NO_TOOL, ...tool })) : undefined;
}
