import { REPLIES, type Operation } from "./operation.ts";

/** What needs no key. */
export const PROCESS_OPERATIONS: readonly Operation[] = [
  {
    id: "checkHealth",
    method: "GET",
    path: "/healthz",
    tag: "Operations",
    summary: "Tell whether the process is alive",
    description: "Says nothing of Redis.",
    replies: { 200: { description: "It is.", schema: "Status" } },
    isOpen: true,
    isProbe: true,
  },
  {
    id: "checkReadiness",
    method: "GET",
    path: "/readyz",
    tag: "Operations",
    summary: "Tell whether jobs are taken in",
    description:
      "503 while Redis is away, a replica, or unfit, while no replica answers at the `replicated` level, and while the process stops.",
    replies: {
      200: { description: "They are.", schema: "Status" },
      503: REPLIES.unavailable,
    },
    isOpen: true,
    isProbe: true,
  },
  {
    id: "readOpenApi",
    method: "GET",
    path: "/openapi.json",
    tag: "Operations",
    summary: "Read this reference as OpenAPI 3.1",
    description: "Made from the schemas that requests are checked against.",
    replies: { 200: { description: "The document.", type: "application/json" } },
    isOpen: true,
  },
  {
    id: "readDocs",
    method: "GET",
    path: "/docs",
    tag: "Operations",
    summary: "Read this reference as a page",
    description: "Needs no script and nothing from elsewhere.",
    replies: { 200: { description: "The page.", type: "text/html" } },
    isOpen: true,
  },
];

const NOT_LOCAL = { description: "The caller is not on this machine.", schema: "Error" } as const;

/** Served when the process was told of others' metrics: it is part of a whole on one machine. */
export const LOCAL_OPERATIONS: readonly Operation[] = [
  {
    id: "readMetrics",
    method: "GET",
    path: "/metrics",
    tag: "Operations",
    summary: "Read all processes' metrics",
    description: "Prometheus' text format; to callers on the same machine only.",
    replies: { 200: { description: "The page.", type: "text/plain" }, 404: NOT_LOCAL },
    isOpen: true,
  },
  {
    id: "readDiagnosis",
    method: "GET",
    path: "/internal/diagnosis",
    tag: "Operations",
    summary: "Read what is wrong, and how to mend it",
    description:
      "What `headrace doctor` shows. To callers on the same machine only; every ingress serves it on its operations port.",
    replies: { 200: { description: "All findings.", schema: "Diagnosis" }, 404: NOT_LOCAL },
    isOpen: true,
  },
  {
    id: "readDemand",
    method: "GET",
    path: "/internal/demand",
    tag: "Operations",
    summary: "Read how much is asked of each model",
    description:
      "For what scales workers: a model's `demand`, divided by the jobs that one engine takes, is how many there should be. Jobs that wait or run count whole; lines of batches, those still in files included, count by their window: as many as should be in flight for it to be kept. To callers on the same machine only; every ingress serves it on its operations port.",
    replies: { 200: { description: "By model and version.", schema: "Demand" }, 404: NOT_LOCAL },
    isOpen: true,
  },
];
