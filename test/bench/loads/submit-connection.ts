import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** Make the bytes of a submit, once for all. */
export function toRequest(headers: Readonly<Record<string, string>>, body: string): Buffer {
  const length = String(Buffer.byteLength(body));
  const lines = Object.entries({ ...headers, "content-length": length }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return Buffer.from(`POST /v1/jobs HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
}

/** Whether an answer says that the job is taken in. */
export function isAccepted(answer: string): boolean {
  return answer.startsWith("HTTP/1.1 202 ");
}

const HEAD_END = "\r\n\r\n";

/** One kept-alive connection, one request at a time. */
export class SubmitConnection {
  readonly #socket: Socket;
  /** In Latin-1: a character is a byte, as `content-length` counts them. */
  #pending = "";
  #answer = Promise.withResolvers<string>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("data", (text) => this.#read(String(text)));
    socket.on("error", (error) => this.#answer.reject(error));
    socket.on("close", () => this.#answer.reject(new Error("the connection was closed")));
  }

  static async open(host: string, port: number): Promise<SubmitConnection> {
    const socket = connect(port, host);
    await once(socket, "connect");
    return new SubmitConnection(socket);
  }

  /** Send a request and wait for its answer, head and body. */
  exchange(request: Buffer): Promise<string> {
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
    this.#answer.resolve(answer);
  }
}
