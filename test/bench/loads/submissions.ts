import { once } from "node:events";
import { connect, type Socket } from "node:net";

import { z } from "zod";

import { defineLoad } from "../load.ts";

/**
 * Submits jobs as fast as they are accepted, until there are enough of them or the time is up.
 *
 * The generator shares two cores with what it measures, so it is as cheap as can be: the request is
 * bytes made once, and of an answer only its status and length are looked at.
 */
export const submissions = defineLoad({
  name: "submissions",
  task: z.strictObject({
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    body: z.string(),
    connections: z.int(),
    count: z.int(),
    withinMs: z.number(),
  }),
  answer: z.strictObject({ accepted: z.int(), elapsedMs: z.number() }),
  run: async ({ url, headers, body, connections, count, withinMs }) => {
    const { hostname, port, host } = new URL(url);
    const request = toRequest({ host, ...headers }, body);
    const startedAt = performance.now();
    let sent = 0;
    let accepted = 0;
    const submitInTurn = async (): Promise<void> => {
      const connection = await Connection.open(hostname, Number(port));
      while (sent < count && performance.now() - startedAt < withinMs) {
        sent += 1;
        await connection.exchange(request);
        accepted += 1;
      }
      connection.close();
    };
    await Promise.all(Array.from({ length: connections }, submitInTurn));
    return { accepted, elapsedMs: performance.now() - startedAt };
  },
});

function toRequest(headers: Readonly<Record<string, string>>, body: string): Buffer {
  const length = String(Buffer.byteLength(body));
  const lines = Object.entries({ ...headers, "content-length": length }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return Buffer.from(`POST /v1/jobs HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
}

const HEAD_END = "\r\n\r\n";
const ACCEPTED = "HTTP/1.1 202 ";

/** One kept-alive connection, one request at a time. */
class Connection {
  readonly #socket: Socket;
  /** In Latin-1: a character is a byte, as `content-length` counts them. */
  #pending = "";
  #answer = Promise.withResolvers<void>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("data", (text) => this.#read(String(text)));
    socket.on("error", (error) => this.#answer.reject(error));
    socket.on("close", () => this.#answer.reject(new Error("the connection was closed")));
  }

  static async open(host: string, port: number): Promise<Connection> {
    const socket = connect(port, host);
    await once(socket, "connect");
    return new Connection(socket);
  }

  /** Send a request and wait for its answer. @throws Error when that is not 202 */
  exchange(request: Buffer): Promise<void> {
    this.#answer = Promise.withResolvers();
    this.#socket.write(request);
    return this.#answer.promise;
  }

  close(): void {
    this.#answer = Promise.withResolvers();
    this.#answer.promise.catch(() => {});
    this.#socket.destroy();
  }

  #read(text: string): void {
    this.#pending += text;
    const headLength = this.#pending.indexOf(HEAD_END);
    if (headLength === -1) return;
    const answer = this.#pending;
    const [, bodyLength] = /^content-length: (\d+)/im.exec(answer) ?? [];
    if (answer.length < headLength + HEAD_END.length + Number(bodyLength)) return;
    this.#pending = "";
    if (answer.startsWith(ACCEPTED)) this.#answer.resolve();
    else this.#answer.reject(new Error(`not accepted: ${answer}`));
  }
}
