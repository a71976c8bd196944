import type { TenancyCase } from "./tenancy-cases.ts";

const filePath = (id: string): string => `/v1/files/${encodeURIComponent(id)}`;
const batchPath = (id: string): string => `/v1/batches/${encodeURIComponent(id)}`;
const after = (path: string, id: string): string => `${path}?after=${encodeURIComponent(id)}`;

/** Routes of files and batches, by method and path. */
export const BATCH_TENANCY_CASES: Readonly<Record<string, TenancyCase>> = {
  // What is uploaded gets an id of its own: none can be named.
  "POST /v1/files": { ids: "file", calls: [(id) => ({ path: "/v1/files", body: { id } })] },
  "GET /v1/files": {
    ids: "file",
    calls: [() => ({ path: "/v1/files" }), (id) => ({ path: after("/v1/files", id) })],
  },
  "GET /v1/files/{id}": { ids: "file", calls: [(id) => ({ path: filePath(id) })] },
  "DELETE /v1/files/{id}": {
    ids: "file",
    calls: [(id) => ({ path: filePath(id) })],
    usesUp: "own",
  },
  "GET /v1/files/{id}/content": {
    ids: "file",
    calls: [
      (id) => ({ path: `${filePath(id)}/content` }),
      (id) => ({ path: `${filePath(id)}/content`, headers: { range: "bytes=0-9" } }),
    ],
  },
  "POST /v1/batches": {
    ids: "file",
    calls: [
      (id) => ({
        path: "/v1/batches",
        body: { input_file_id: id, endpoint: "/v1/completions", completion_window: "24h" },
      }),
    ],
    // A file that a batch needs cannot be deleted by the next case.
    usesUp: "own",
  },
  "GET /v1/batches": {
    ids: "batch",
    calls: [() => ({ path: "/v1/batches" }), (id) => ({ path: after("/v1/batches", id) })],
  },
  "GET /v1/batches/{id}": { ids: "batch", calls: [(id) => ({ path: batchPath(id) })] },
  "POST /v1/batches/{id}/cancel": {
    ids: "batch",
    calls: [(id) => ({ path: `${batchPath(id)}/cancel` })],
    usesUp: "own",
  },
  "GET /v1/batches/{id}/results": {
    ids: "batch",
    calls: [(id) => ({ path: `${batchPath(id)}/results` })],
  },
};
