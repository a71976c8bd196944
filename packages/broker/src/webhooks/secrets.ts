import { newWebhookSecret } from "@headrace/contract";
import { z } from "zod";

/** How long events are signed with the secret before as well, where that is asked for. */
const OVERLAP_MS = 24 * 3_600_000;
/** Secrets in use at once, however often they are rotated within a day. */
const MOST_SECRETS = 4;
/** Characters that are shown of a secret once it has been shown whole. */
const HINT_LENGTH = 4;

/** Secrets that events are signed with, the newest first. Only the newest does not expire. */
export const secretsSchema = z
  .array(z.object({ secret: z.string(), expiresAtMs: z.number().nullable() }))
  .min(1);
export type Secrets = z.infer<typeof secretsSchema>;

/** Make the first secret. */
export function firstSecrets(): Secrets {
  return [{ secret: newWebhookSecret(), expiresAtMs: null }];
}

/** Put a new secret before those that are still valid. */
export function rotate(secrets: Secrets, keepOld: boolean, nowMs: number): Secrets {
  const old = keepOld ? secrets.filter(({ expiresAtMs }) => isValid(expiresAtMs, nowMs)) : [];
  return [
    ...firstSecrets(),
    ...old.map(({ secret, expiresAtMs }) => ({
      secret,
      expiresAtMs: expiresAtMs ?? nowMs + OVERLAP_MS,
    })),
  ].slice(0, MOST_SECRETS);
}

/** The secrets to sign with. */
export function validSecrets(secrets: Secrets, nowMs: number): string[] {
  return secrets
    .filter(({ expiresAtMs }) => isValid(expiresAtMs, nowMs))
    .map(({ secret }) => secret);
}

/** What may be shown of secrets at any time. */
export function describeSecrets(
  secrets: Secrets,
  nowMs: number,
): { readonly signing_secret_hint: string; readonly old_secret_expires_at: number | null } {
  const [newest, ...old] = secrets;
  const ends = old.flatMap(({ expiresAtMs }) =>
    expiresAtMs !== null && expiresAtMs > nowMs ? [expiresAtMs] : [],
  );
  return {
    signing_secret_hint: `…${newest?.secret.slice(-HINT_LENGTH) ?? ""}`,
    old_secret_expires_at: ends.length === 0 ? null : Math.floor(Math.max(...ends) / 1_000),
  };
}

function isValid(expiresAtMs: number | null, nowMs: number): boolean {
  return expiresAtMs === null || expiresAtMs > nowMs;
}
