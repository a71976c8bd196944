import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

import { test } from "vitest";

import { Headrace, type HeadraceOptions } from "./headrace.ts";

/** Answers one request of a test. */
export type Answer = (
  request: IncomingMessage,
  response: ServerResponse,
  body: string,
) => Promise<void> | void;

/** What a test says about the server it talks to. */
interface TestServer {
  readonly url: string;
  /** Every request so far, oldest first. */
  readonly requests: readonly IncomingMessage[];
  /** How the next requests are answered, one each; the last answers all that follow. */
  answers: Answer[];
  /** A client of it, so impatient that a test need not be patient. */
  client(options?: Partial<HeadraceOptions>): Headrace;
}

const IMPATIENT = {
  answerMs: 2_000,
  silenceMs: 2_000,
  firstPauseMs: 1,
  longestPauseMs: 5,
  outageMs: 200,
};

/** A vitest `test` with a real HTTP server that answers as the test says. */
export const serverTest = test.extend("server", async ({}, { onCleanup }) => {
  const requests: IncomingMessage[] = [];
  const answers: Answer[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    void readText(request).then((body) => {
      const answer = testServer.answers.length > 1 ? testServer.answers.shift() : undefined;
      return (answer ?? testServer.answers[0])?.(request, response, body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onCleanup(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const url = `http://127.0.0.1:${port}`;
  const testServer: TestServer = {
    url,
    requests,
    answers,
    client: (options = {}) =>
      new Headrace({
        url,
        apiKey: "hr_test",
        ...options,
        timing: { ...IMPATIENT, ...options.timing },
      }),
  };
  return testServer;
});

/** Answer with JSON. */
export function json(
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };
}

/** Refuse in OpenAI's shape. */
export function refuse(
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const error = { message: `this is ${code}`, type: "server_error", param: "model", code };
  return json(status, { error }, headers);
}

/** Cut the connection without a word. */
export const cut: Answer = (_request, response) => {
  response.destroy();
};

/** A job as the API shows it. */
export function jobBody(status: string, id = "job_abcd_1"): object {
  return {
    id,
    object: "job",
    status,
    endpoint: "/v1/completions",
    model: "m",
    priority: "standard",
    on_retry: "continue",
    metadata: {},
    created_at: 1,
    started_at: null,
    ended_at: null,
    deadline_at: 3_601,
    expires_at: null,
    attempts: 0,
    waiting_reason: null,
    queue_position: null,
    eta_seconds: null,
    result: null,
    error: null,
    usage: null,
    status_url: `/v1/jobs/${id}`,
    events_url: `/v1/jobs/${id}/events`,
    cancel_url: `/v1/jobs/${id}/cancel`,
    retry_of: null,
    webhook: null,
  };
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}
