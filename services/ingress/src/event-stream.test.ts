import { once } from "node:events";
import { connect } from "node:net";

import { describe, expect } from "vitest";

import { API_KEY, ingressTest as test } from "./testing/ingress-test.ts";

const head = `host: x\r\nauthorization: Bearer ${API_KEY}\r\n`;

/** Send requests on one connection, and read until it closes. */
async function exchange(port: number, requests: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  socket.write(requests);
  await once(socket, "close");
  return text;
}

describe("a stream on the wire", () => {
  test("leaves its connection fit for the next request, sent ahead or not", async ({
    client,
    ingress,
    worker,
  }) => {
    const ids = [await client.submit(), await client.submit()];
    for (const text of ["Grüße", "Hello"]) {
      const run = await worker.next();
      run.say(text);
      await run.complete();
    }
    const [first, second] = ids.map((id) => `GET /v1/jobs/${id}/events HTTP/1.1\r\n${head}\r\n`);
    const health = `GET /healthz HTTP/1.1\r\n${head}connection: close\r\n\r\n`;

    const text = await exchange(ingress.port, `${first}${second}${health}`);
    const answers = text.split("HTTP/1.1 200 OK").slice(1);

    expect(answers).toHaveLength(3);
    expect(answers[0]).toContain("Grüße");
    expect(answers[1]).toContain("Hello");
    for (const answer of answers.slice(0, 2)) {
      expect(answer).toMatch(/event: job.completed\n[^\r]*\r\n0\r\n\r\n$/);
    }
    expect(answers[2]).toContain('{"status":"ok"}');
  });

  test("has no chunks for a client of HTTP/1.0", async ({ client, ingress, worker }) => {
    const id = await client.submit();
    const run = await worker.next();
    run.say("Hello");
    await run.complete();
    const text = await exchange(ingress.port, `GET /v1/jobs/${id}/events HTTP/1.0\r\n${head}\r\n`);

    expect(text).not.toContain("transfer-encoding");
    expect(text.split("\r\n\r\n")[1]).toMatch(/^id: 1-0\nevent: attempt.started\n/);
  });
});
