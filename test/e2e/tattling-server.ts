import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";

/** What came, as the one who answers sees it. */
export interface Came {
  readonly path: string;
  readonly body: string;
}

/** A server of a test's own, to stand where others' programs do. */
export class TattlingServer {
  readonly url: string;
  readonly came: Came[] = [];
  readonly #server: Server;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(
    answer: (response: ServerResponse, came: Came) => void,
  ): Promise<TattlingServer> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const tattling = new TattlingServer(server, `http://127.0.0.1:${port}`);
    server.on("request", async (request, response) => {
      const came = { path: request.url ?? "", body: await text(request) };
      tattling.came.push(came);
      answer(response, came);
    });
    return tattling;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

/** An engine whose every failure quotes the prompt, in each way that an engine can fail. */
export function tattlingEngine(model: string, canary: string): Promise<TattlingServer> {
  return TattlingServer.start((response, { path, body }) => {
    if (path === "/v1/models") {
      response.end(JSON.stringify({ object: "list", data: [{ id: model, object: "model" }] }));
      return;
    }
    if (!path.startsWith("/v1/")) {
      response.writeHead(404).end(canary);
      return;
    }
    const way = /way-(\w+)/.exec(body)?.[1] ?? "";
    const message = `cannot do ${canary} with ${body}`;
    const chunk = { choices: [{ index: 0, delta: { content: canary }, text: canary }] };
    switch (way) {
      case "rejects":
        response
          .writeHead(400)
          .end(JSON.stringify({ error: { message, type: canary, code: canary } }));
        return;
      case "fails":
        response.writeHead(500, { "x-canary": canary }).end(message);
        return;
      case "talks":
        response
          .writeHead(200, { "content-type": "text/event-stream" })
          .end(`data: {${canary}\n\n`);
        return;
      case "errs":
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.end(
          `data: ${JSON.stringify(chunk)}\n\ndata: ${JSON.stringify({ error: { message } })}\n\n`,
        );
        return;
      default:
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(`data: ${JSON.stringify(chunk)}\n\n`, () => response.destroy());
    }
  });
}
