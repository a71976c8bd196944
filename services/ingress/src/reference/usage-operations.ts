import { USAGE_GROUPS } from "@headrace/contract";

import { DEFAULT_DAYS, MOST_DAYS } from "../usage-routes.ts";
import { COMMON, REPLIES, type Operation } from "./operation.ts";

const DAY = { type: "string", format: "date" } as const;

/** What was used, and what it cost. */
export const USAGE_OPERATIONS: readonly Operation[] = [
  {
    id: "readUsage",
    method: "GET",
    path: "/v1/usage",
    tag: "Usage",
    summary: "Read what was used",
    description: `Tokens, GPU seconds and cost of the caller's tenant, per key, model and UTC day, kept for ${MOST_DAYS} days. A job is counted once, within a second or so of its end. Counts are the engine's; a job that was cancelled while it ran counts its prompt as estimated and a token for each piece of output it had been given, and one that failed or expired no tokens.`,
    parameters: [
      {
        name: "from",
        in: "query",
        description: `First day, UTC. Default ${DEFAULT_DAYS - 1} days before \`to\`; at most ${MOST_DAYS} days with it.`,
        required: false,
        schema: DAY,
      },
      {
        name: "to",
        in: "query",
        description: "Last day, UTC. Default today.",
        required: false,
        schema: DAY,
      },
      {
        name: "group_by",
        in: "query",
        description: "What to tell apart, comma-separated; sums go over the rest.",
        required: false,
        schema: { type: "string", default: USAGE_GROUPS.join(",") },
      },
      {
        name: "tenant",
        in: "query",
        description: "Another tenant, for keys with scope `admin`.",
        required: false,
        schema: { type: "string" },
      },
    ],
    replies: {
      200: { description: "The sums.", schema: "UsageReport" },
      400: REPLIES.invalid,
      ...COMMON,
    },
  },
];
