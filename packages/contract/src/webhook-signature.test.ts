import { expect, test } from "vitest";

import { findWebhookFault, newWebhookSecret, signWebhook } from "./webhook-signature.ts";

const BODY = '{"object":"event"}';
const NOW_SECONDS = 1_764_043_200;

async function headersOf(secrets: readonly string[]): Promise<Record<string, string>> {
  const message = { id: "evt_1", timestamp: NOW_SECONDS, body: BODY };
  return {
    "webhook-id": message.id,
    "webhook-timestamp": String(message.timestamp),
    "webhook-signature": await signWebhook(message, secrets),
  };
}

function faultIn(
  headers: Record<string, string>,
  secret: string,
  { body = BODY, nowSeconds = NOW_SECONDS } = {},
): Promise<string | null> {
  return findWebhookFault({ body, read: (name) => headers[name] ?? null }, secret, nowSeconds);
}

test("a webhook verifies with either secret of a rotation, and with no other", async () => {
  const [before, after, other] = [newWebhookSecret(), newWebhookSecret(), newWebhookSecret()];
  const headers = await headersOf([after, before]);

  const faults = await Promise.all(
    [before, after, other].map((secret) => faultIn(headers, secret)),
  );

  expect(faults).toEqual([null, null, "signature_invalid"]);
});

test("a signature covers id, time and body", async () => {
  const secret = newWebhookSecret();
  const headers = await headersOf([secret]);

  const faults = await Promise.all([
    faultIn({ ...headers, "webhook-id": "evt_2" }, secret),
    faultIn({ ...headers, "webhook-timestamp": String(NOW_SECONDS + 1) }, secret),
    faultIn(headers, secret, { body: `${BODY} ` }),
  ]);

  expect(new Set(faults)).toEqual(new Set(["signature_invalid"]));
});

test("a webhook that was sent again later is none", async () => {
  const secret = newWebhookSecret();
  const headers = await headersOf([secret]);

  const faults = await Promise.all(
    [-301, -300, 300, 301].map((offset) =>
      faultIn(headers, secret, { nowSeconds: NOW_SECONDS + offset }),
    ),
  );

  expect(faults).toEqual(["timestamp_invalid", null, null, "timestamp_invalid"]);
});

test.for(["", "v1,", "v1,not base64!", "v2,AAAA", "v1a,AAAA", "v1", " ".repeat(100)])(
  "a signature header of %j verifies nothing",
  async (signature) => {
    const secret = newWebhookSecret();
    const headers = await headersOf([secret]);

    expect(await faultIn({ ...headers, "webhook-signature": signature }, secret)).toBe(
      "signature_invalid",
    );
  },
);

test("the published example of Standard Webhooks is signed as published", async () => {
  // https://github.com/standard-webhooks/standard-webhooks: the libraries' own test vector.
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const message = {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    timestamp: 1_614_265_330,
    body: '{"test": 2432232314}',
  };

  expect(await signWebhook(message, [secret])).toBe(
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  );
});
