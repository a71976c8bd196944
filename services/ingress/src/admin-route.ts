import type { AuditNote, AuditSubject } from "@headrace/broker";
import {
  findKeyId,
  keyIdSchema,
  ROOT_KEY_ID,
  tenantNameSchema,
  type ErrorCode,
} from "@headrace/contract";

import { toPlatformError } from "./answer.ts";
import type { Caller } from "./caller.ts";
import type { Exchange, Handler, KeyedRoute, Method } from "./exchange.ts";
import type { Services } from "./services.ts";

/** Answers an operator's call; the note says whose it is, for the audit log. */
export type AdminHandler = (
  services: Services,
  exchange: Exchange,
  note: AuditNote,
) => Promise<void>;

/** What a method does on a path of the operator's, and what the audit log calls it: `key.rotate`. */
export interface AdminOperation {
  readonly action: string;
  readonly answer: AdminHandler;
}

/**
 * Make a route of the operator's own, each of whose calls goes into the audit log whatever comes of it:
 * a change writes its own entry, a read and a refusal are written here. A call without the scope for it
 * is denied before, and that is written by `recordDenial`.
 */
export function adminRoute(
  services: Services,
  path: `/admin/${string}`,
  operations: Readonly<Partial<Record<Method, AdminOperation>>>,
): KeyedRoute {
  const methods: Partial<Record<Method, Handler>> = {};
  const actions: Partial<Record<Method, string>> = {};
  for (const method of ["GET", "POST", "DELETE"] as const) {
    const operation = operations[method];
    if (operation === undefined) continue;
    methods[method] = (method === "GET" ? toReader : toChanger)(services, operation);
    actions[method] = operation.action;
  }
  return { path, methods, actions };
}

function toChanger(services: Services, { action, answer }: AdminOperation): Handler {
  return async (exchange, caller) => {
    const note = noteOf(exchange, caller, action);
    try {
      await answer(services, exchange, note);
    } catch (error) {
      await recordRefusal(services, exchange, { note, code: toPlatformError(error).code });
      throw error;
    }
  };
}

/** Nobody waits for the entry, nor goes without an answer for want of one. */
function toReader(services: Services, { action, answer }: AdminOperation): Handler {
  return async (exchange, caller) => {
    const note = noteOf(exchange, caller, action);
    let code: ErrorCode | null = null;
    try {
      await answer(services, exchange, note);
    } catch (error) {
      ({ code } = toPlatformError(error));
      throw error;
    } finally {
      void record(services, note, (audit) => audit.keepRead(note, subjectOf(exchange), code));
    }
  };
}

/** Write down that a call of the operator's was made with a key that has not the scope for it. */
export async function recordDenial(
  services: Services,
  exchange: Exchange,
  call: { readonly caller: Caller; readonly action: string },
): Promise<void> {
  const note = noteOf(exchange, call.caller, call.action);
  await recordRefusal(services, exchange, { note, code: "scope_missing" });
}

function recordRefusal(
  services: Services,
  exchange: Exchange,
  { note, code }: { readonly note: AuditNote; readonly code: ErrorCode },
): Promise<void> {
  return record(services, note, (audit) => audit.keepRefused(note, subjectOf(exchange), code));
}

/** The caller is told of its own failure, not of the audit log's. */
async function record(
  { broker, events }: Services,
  note: AuditNote,
  keep: (audit: Services["broker"]["audit"]) => Promise<void>,
): Promise<void> {
  try {
    await keep(broker.audit);
  } catch (error) {
    events.auditFailed(note, error);
  }
}

function subjectOf(exchange: Exchange): AuditSubject {
  return { target: targetOf(exchange), tenant: null, details: {} };
}

function noteOf({ requestId }: Exchange, { keyId }: Caller, action: string): AuditNote {
  return { actor: keyId, action, requestId };
}

/**
 * What the path names, where it has the form of a key's id or a tenant's name. Somebody may take a key
 * for either, misspell it, or send another secret: of that, only a key's id is kept.
 */
function targetOf({ request }: Exchange): string | null {
  const { id, tenant } = request.params;
  if (typeof id === "string") {
    if (id === ROOT_KEY_ID || keyIdSchema.safeParse(id).success) return id;
    return findKeyId(id);
  }
  return tenantNameSchema.safeParse(tenant).data ?? null;
}
