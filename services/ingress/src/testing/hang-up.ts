import { once } from "node:events";
import { connect } from "node:net";

import { expect } from "vitest";

import type { Ingress } from "../ingress.ts";
import { readMetric } from "./exposition.ts";
import { API_KEY } from "./ingress-test.ts";

/** Send a request, and hang up while the ingress is at it. Resolves once the ingress knows. */
export async function hangUpDuring(
  ingress: Ingress,
  request: { readonly method: string; readonly path: string; readonly body?: unknown },
): Promise<void> {
  const body = request.body === undefined ? "" : JSON.stringify(request.body);
  const socket = connect(ingress.port, "127.0.0.1");
  socket.write(
    `${request.method} ${request.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await expect.poll(() => readMetric(ingress, "llm_active_requests"), { interval: 10 }).toBe(1);
  socket.destroy();
  await once(socket, "close");
  // What comes later is answered later: by then it has seen the connection's end.
  await fetch(`http://127.0.0.1:${ingress.port}/healthz`);
}
