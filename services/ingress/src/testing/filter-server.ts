import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type Server,
  type ServerResponse,
} from "node:http";
import { json } from "node:stream/consumers";

import { portOf } from "@headrace/runtime";

/** A prompt as a filter is asked about it, with the headers that it came with. */
export interface Question {
  readonly headers: IncomingHttpHeaders;
  readonly prompt: unknown;
}

/** A content filter of the test's own, over HTTP. */
export class FilterServer {
  readonly asked: Question[] = [];
  /** How it answers. A test changes it at will. */
  answer: (response: ServerResponse, prompt: unknown) => void = (response) =>
    response.end('{"action":"allow"}');
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", async (request, response) => {
      const prompt = await json(request);
      this.asked.push({ headers: request.headers, prompt });
      this.answer(response, prompt);
    });
  }

  static async start(): Promise<FilterServer> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FilterServer(server);
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server)}/review`;
  }

  /** Answer every prompt with this verdict, or with what is none. */
  say(verdict: unknown): void {
    this.answer = (response) => response.end(JSON.stringify(verdict));
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}
