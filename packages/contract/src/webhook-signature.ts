/** Standard Webhooks' mark of a secret. */
const SECRET_PREFIX = "whsec_";
/** The standard asks for 24 to 64 bytes. */
const SECRET_BYTES = 32;
/** The standard's symmetric scheme: HMAC-SHA256, in base64. */
const SCHEME = "v1,";
/** How far a webhook's timestamp may be from the receiver's clock, as the standard's libraries have it. */
const TOLERANCE_SECONDS = 300;
/** More signatures than this nobody sends; each costs its reader a computation. */
const MOST_SIGNATURES = 32;

/** What a webhook's signature covers: whoever may replace any of it could replay or forge. */
export interface SignedMessage {
  /** `webhook-id`: stable over all tries. */
  readonly id: string;
  /** `webhook-timestamp`: of this try, Unix seconds. */
  readonly timestamp: number;
  /** The body, byte for byte. */
  readonly body: string;
}

/** Make a secret that nobody can guess. */
export function newWebhookSecret(): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  return SECRET_PREFIX + bytes.toBase64();
}

/**
 * Sign a message with every secret that is valid just now.
 *
 * @returns the value of `webhook-signature`: one signature per secret, so that a receiver that has
 *   either secret of a rotation can verify it
 * @see https://www.standardwebhooks.com
 */
export async function signWebhook(
  message: SignedMessage,
  secrets: readonly string[],
): Promise<string> {
  const signatures = secrets.map(async (secret) => {
    const key = await importKey(secret, "sign");
    const signature = await globalThis.crypto.subtle.sign("HMAC", key, toSignedBytes(message));
    return SCHEME + new Uint8Array(signature).toBase64();
  });
  return (await Promise.all(signatures)).join(" ");
}

/** Why a request is no webhook of ours. */
export type WebhookFault = "headers_missing" | "timestamp_invalid" | "signature_invalid";

/**
 * Check a webhook as its receiver: who sent it, and that it is not an old one sent again.
 *
 * @param read gives a header by its lower-case name
 * @returns null when it is genuine
 */
export async function findWebhookFault(
  { body, read }: { readonly body: string; readonly read: (name: string) => string | null },
  secret: string,
  nowSeconds: number = Date.now() / 1_000,
): Promise<WebhookFault | null> {
  const id = read("webhook-id");
  const timestampText = read("webhook-timestamp");
  const header = read("webhook-signature");
  if (id === null || timestampText === null || header === null) return "headers_missing";
  const timestamp = /^\d{1,12}$/.test(timestampText) ? Number(timestampText) : Number.NaN;
  if (!(Math.abs(nowSeconds - timestamp) <= TOLERANCE_SECONDS)) return "timestamp_invalid";
  const key = await importKey(secret, "verify");
  const bytes = toSignedBytes({ id, timestamp, body });
  for (const signature of header.split(" ", MOST_SIGNATURES)) {
    const claimed = findSignature(signature);
    // Web Crypto compares in constant time.
    if (claimed !== null && (await globalThis.crypto.subtle.verify("HMAC", key, claimed, bytes))) {
      return null;
    }
  }
  return "signature_invalid";
}

function findSignature(text: string): Uint8Array<ArrayBuffer> | null {
  if (!text.startsWith(SCHEME)) return null;
  try {
    return Uint8Array.fromBase64(text.slice(SCHEME.length));
  } catch {
    return null;
  }
}

function toSignedBytes({ id, timestamp, body }: SignedMessage): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${id}.${timestamp}.${body}`);
}

/** @throws SyntaxError for a secret that is not base64 */
async function importKey(secret: string, use: "sign" | "verify"): Promise<CryptoKey> {
  const text = secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : secret;
  const bytes = Uint8Array.fromBase64(text);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return globalThis.crypto.subtle.importKey("raw", bytes, algorithm, false, [use]);
}
