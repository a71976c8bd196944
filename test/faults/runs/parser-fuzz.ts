import { once } from "node:events";
import { createServer, type Server } from "node:http";

import { Engine, EngineError } from "@headrace/engine";

import { contentOf } from "../../bench/chat-stream.ts";
import { Platform } from "../../platform.ts";
import { makeCase } from "../job-case.ts";
import { mangle, type Mangled } from "../mangling.ts";
import { atLeast, atMost, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";

const SIZES = { small: { streams: 500 }, full: { streams: 10_000 } } as const;

const AT_ONCE = 16;
const TOKENS = 24;
const PATH = "/v1/chat/completions";
/** Far beyond what a stream here takes: a parser that hangs is found. */
const PATIENCE_MS = 5_000;

/** Streams of the engine are cut and corrupted; the parser says that they are, or reads them whole. */
export const parserFuzz: FaultRun = {
  name: "parser-fuzz",
  title: "the engine's streams cut and corrupted at random",
  sizes: ["small", "full"],
  run: runParserFuzz,
};

async function runParserFuzz({ random, size, signal }: RunContext): Promise<RunOutcome> {
  const { streams } = SIZES[size];
  const script = await recordStream();
  const server = new ScriptServer();
  const tally = { failed: 0, whole: 0, passedAsWhole: 0, odd: 0, unhandled: 0 };
  const onUnhandled = (): void => void (tally.unhandled += 1);
  process.on("uncaughtException", onUnhandled).on("unhandledRejection", onUnhandled);
  const engine = new Engine({
    url: await server.listen(),
    maxConnections: AT_ONCE,
    connectTimeoutMs: PATIENCE_MS,
    firstTokenTimeoutMs: PATIENCE_MS,
    silenceTimeoutMs: PATIENCE_MS,
    maxOutputBytes: 1_000_000,
  });
  try {
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_value, at) => {
        const draw = random.fork(`reader ${at}`);
        for (let nth = at; nth < streams && !signal.aborted; nth += AT_ONCE) {
          const mangled = mangle(script, draw);
          tally[await judge(engine, server, { id: `s${nth}`, mangled, signal })] += 1;
        }
      }),
    );
  } finally {
    process.off("uncaughtException", onUnhandled).off("unhandledRejection", onUnhandled);
    await engine.close();
    await server.close();
  }
  return { findings: [], figures: toFigures(tally, streams) };
}

function toFigures(
  tally: Readonly<Record<Verdict | "unhandled", number>>,
  streams: number,
): RunOutcome["figures"] {
  const { failed, whole, passedAsWhole, odd, unhandled } = tally;
  return {
    streams: atLeast(failed + whole + passedAsWhole + odd, streams, ""),
    reported_broken: told(failed, ""),
    whole: told(whole, ""),
    truncated_reported_finished: atMost(passedAsWhole, 0, ""),
    unhandled_errors: atMost(odd + unhandled, 0, ""),
  };
}

/** Broken and said so; whole and said so; broken and reported whole; anything else. */
type Verdict = "failed" | "whole" | "passedAsWhole" | "odd";

async function judge(
  engine: Engine,
  server: ScriptServer,
  stream: { readonly id: string; readonly mangled: Mangled; readonly signal: AbortSignal },
): Promise<Verdict> {
  const { id, mangled, signal } = stream;
  server.play(id, mangled);
  let text = "";
  const sink = {
    onAccepted: (): void => {},
    onChoices: (choices: readonly unknown[]): void => void (text += contentOf({ choices })),
  };
  try {
    await engine.stream({ endpoint: PATH, body: { model: "m" }, requestId: id }, sink, signal);
  } catch (error) {
    return error instanceof EngineError ? "failed" : "odd";
  }
  return mangled.mayPass(text) ? "whole" : "passedAsWhole";
}

/** Plays a stream's pieces to whoever asks by its id. */
class ScriptServer {
  readonly #scripts = new Map<string, Mangled>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      request.resume();
      const id = String(request.headers["x-request-id"]);
      const script = this.#scripts.get(id);
      this.#scripts.delete(id);
      response.writeHead(200, { "content-type": "text/event-stream" });
      const pieces = [...(script?.pieces ?? [])];
      const next = (): void => {
        const piece = pieces.shift();
        if (piece !== undefined) response.write(piece, () => setImmediate(next));
        else if (script?.isReset === true) request.socket.resetAndDestroy();
        else response.end();
      };
      next();
    });
  }

  play(id: string, script: Mangled): void {
    this.#scripts.set(id, script);
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** Take down what the engine really says to one request, byte for byte. */
async function recordStream(): Promise<Buffer> {
  const platform = await Platform.start({ ingresses: 0, workers: 0 });
  try {
    const { submit } = makeCase("A stream to be broken", TOKENS);
    const body = { ...submit.request, stream: true, stream_options: { include_usage: true } };
    const response = await fetch(new URL(PATH, platform.engine.url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return Buffer.from(await response.arrayBuffer());
  } finally {
    await platform.stop();
  }
}
