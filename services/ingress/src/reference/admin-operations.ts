import { DEFAULT_PAGE, LARGEST_PAGE } from "../query.ts";
import { COMMON, REPLIES, type Operation, type Parameter } from "./operation.ts";

const keyId: Parameter = {
  name: "id",
  in: "path",
  description: "The key's id: the part of a key after `hr_`.",
  required: true,
  schema: { type: "string" },
};

const tenantName: Parameter = {
  name: "tenant",
  in: "path",
  description: "The tenant's name.",
  required: true,
  schema: { type: "string" },
};

const page: readonly Parameter[] = [
  {
    name: "limit",
    in: "query",
    description: "Entries in a page.",
    required: false,
    schema: { type: "integer", minimum: 1, maximum: LARGEST_PAGE, default: DEFAULT_PAGE },
  },
  {
    name: "after",
    in: "query",
    description: "The last entry of the page before.",
    required: false,
    schema: { type: "string" },
  },
];

const keyUnknown = { description: "There is no such key.", schema: "Error" } as const;
const full = {
  description: "There are as many keys or tenants as there may be: 10,000.",
  schema: "Error",
} as const;

/** Answers of calls that send a body. */
const bodied: Operation["replies"] = {
  400: REPLIES.invalid,
  413: REPLIES.tooLarge,
  415: REPLIES.mediaType,
  ...COMMON,
};

/** The operator's API: keys, tenants, and what was done to them. */
export const ADMIN_OPERATIONS: readonly Operation[] = [
  {
    id: "createKey",
    method: "POST",
    path: "/admin/v1/keys",
    tag: "Keys",
    summary: "Make a key",
    description:
      "The answer's `key` is shown this once; what is kept is its SHA-256. It is valid at once, on every server. Under one `Idempotency-Key` one key is made: a call that is repeated is told by 409 `key_exists` which, to be rotated, since its secret was shown before.",
    parameters: [
      {
        name: "Idempotency-Key",
        in: "header",
        description: "Makes it safe to repeat the call when its answer was lost.",
        required: false,
        schema: { type: "string" },
      },
    ],
    body: "KeyCreate",
    replies: {
      201: { description: "Made.", schema: "NewKey", headers: ["location"] },
      409: {
        description: `${full.description} Or the \`Idempotency-Key\` has made it already.`,
        schema: "Error",
      },
      422: { description: "The `Idempotency-Key` made another key.", schema: "Error" },
      ...bodied,
    },
  },
  {
    id: "listKeys",
    method: "GET",
    path: "/admin/v1/keys",
    tag: "Keys",
    summary: "List keys",
    description: "Newest first, revoked ones too. The server's own key, `root`, is not among them.",
    parameters: [
      {
        name: "tenant",
        in: "query",
        description: "Only this tenant's.",
        required: false,
        schema: { type: "string" },
      },
      ...page,
    ],
    replies: {
      200: { description: "A page.", schema: "KeyList" },
      400: REPLIES.invalid,
      404: { description: "The key in `after` is unknown.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "readIdempotencyKey",
    method: "GET",
    path: "/admin/v1/keys/{id}",
    tag: "Keys",
    summary: "Read a key",
    description: "All but its secret.",
    parameters: [keyId],
    replies: { 200: { description: "The key.", schema: "ApiKey" }, 404: keyUnknown, ...COMMON },
  },
  {
    id: "updateKey",
    method: "POST",
    path: "/admin/v1/keys/{id}",
    tag: "Keys",
    summary: "Change a key",
    description:
      "What is not given stays; `limits` and `expires_at` are taken away by null. In force everywhere within a second.",
    parameters: [keyId],
    body: "KeyUpdate",
    replies: {
      200: { description: "The key as it now is.", schema: "ApiKey" },
      404: keyUnknown,
      409: { description: "The key is revoked, or being changed by others.", schema: "Error" },
      ...bodied,
    },
  },
  {
    id: "deleteKey",
    method: "DELETE",
    path: "/admin/v1/keys/{id}",
    tag: "Keys",
    summary: "Delete a key",
    description:
      "Ends it as revoking does, and forgets it. Its tenant's jobs stay; the audit log keeps its id.",
    parameters: [keyId],
    replies: {
      200: { description: "Deleted.", schema: "KeyDeleted" },
      404: keyUnknown,
      409: { description: "The key is being changed by others.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "rotateKey",
    method: "POST",
    path: "/admin/v1/keys/{id}/rotate",
    tag: "Keys",
    summary: "Give a key a new secret",
    description:
      "The id, and all that goes with it, stays. Secrets there were are valid for `overlap_seconds` more at the most, so that clients can be changed one by one; 0 ends them now. The body may be left out.",
    parameters: [keyId],
    body: "KeyRotate",
    replies: {
      200: { description: "The key with its new secret, shown this once.", schema: "NewKey" },
      404: keyUnknown,
      409: {
        description: "The key is revoked, or four earlier secrets are still valid.",
        schema: "Error",
      },
      ...bodied,
    },
  },
  {
    id: "revokeKey",
    method: "POST",
    path: "/admin/v1/keys/{id}/revoke",
    tag: "Keys",
    summary: "Revoke a key",
    description:
      "Every server refuses it within a second, and ends the streams that were opened with it. For good: a revoked key cannot be brought back. Revoking it again changes nothing. Takes no body.",
    parameters: [keyId],
    replies: {
      200: { description: "The revoked key.", schema: "ApiKey" },
      404: keyUnknown,
      409: { description: "The key is being changed by others.", schema: "Error" },
      ...bodied,
    },
  },
  {
    id: "listTenants",
    method: "GET",
    path: "/admin/v1/tenants",
    tag: "Keys",
    summary: "List tenants",
    description: "By name: all that ever had a key or settings.",
    parameters: page,
    replies: {
      200: { description: "A page.", schema: "TenantList" },
      400: REPLIES.invalid,
      ...COMMON,
    },
  },
  {
    id: "readTenant",
    method: "GET",
    path: "/admin/v1/tenants/{tenant}",
    tag: "Keys",
    summary: "Read a tenant",
    description: "What is set for it.",
    parameters: [tenantName],
    replies: {
      200: { description: "The tenant.", schema: "Tenant" },
      404: { description: "There is no such tenant.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "setTenant",
    method: "POST",
    path: "/admin/v1/tenants/{tenant}",
    tag: "Keys",
    summary: "Set a tenant's weight",
    description:
      "Its share of the GPUs while others of the same priority wait as well: one of weight 2 gets twice what one of weight 1 gets. A tenant that is not there yet is made.",
    parameters: [tenantName],
    body: "TenantSettings",
    replies: {
      200: { description: "The tenant as it now is.", schema: "Tenant" },
      409: full,
      ...bodied,
    },
  },
  {
    id: "readAudit",
    method: "GET",
    path: "/admin/v1/audit",
    tag: "Keys",
    summary: "See what operators did",
    description:
      "Newest first: who did, tried or was denied what, when by Redis' clock, and what came of it. Of what one key reads, or is denied, again and again one entry an hour is kept, by each server. The last 10,000 changes, the last 10,000 refusals and the last 10,000 reads are kept; each is a log line of the server as well.",
    parameters: page,
    replies: {
      200: { description: "A page.", schema: "AuditList" },
      400: REPLIES.invalid,
      ...COMMON,
    },
  },
];
