import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** An answer as it came over the wire. */
export interface RawAnswer {
  /** 0 when there was none. */
  readonly status: number;
  readonly text: string;
}

/** A connection on which a test writes what no client would. */
export class RawConnection {
  readonly socket: Socket;
  #text = "";
  readonly #closed = Promise.withResolvers<void>();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => (this.#text += chunk.toString("latin1")));
    // A reset is a close as well.
    socket.once("close", () => this.#closed.resolve());
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return new RawConnection(socket);
  }

  /** What has come so far. */
  get text(): string {
    return this.#text;
  }

  write(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Wait until the server closes. @returns the first answer */
  async whenClosed(): Promise<RawAnswer> {
    await this.#closed.promise;
    return { status: Number(/^HTTP\/1.1 (\d{3})/.exec(this.#text)?.[1] ?? 0), text: this.#text };
  }
}
