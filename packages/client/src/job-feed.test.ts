import type { ServerResponse } from "node:http";

import { describe, expect } from "vitest";

import type { JobEventItem } from "./job-feed.ts";
import { cut, refuse, serverTest as test, type Answer } from "./test-server.ts";

const latency = {
  job: "job_abcd_1",
  total_seconds: 1,
  ttft_seconds: 0.1,
  tpot_seconds: 0.1,
  stages: [],
  attempts: 1,
};
const text = (index: number, said: string): [string, object] => [
  `1-${index}`,
  { type: "output.delta", choices: [{ index: 0, text: said }] },
];
const log: [string, object][] = [
  ["1-0", { type: "attempt.started", epoch: 1, reason: "first", from: 0, reset: false }],
  text(1, "Wasser "),
  text(2, "fällt "),
  text(3, "🌊"),
  ["1-4", { type: "job.completed", job: "job_abcd_1", usage: null, latency }],
];
const ids = log.map(([id]) => id);

const write = ([id, event]: [string, object]): string =>
  `id: ${id}\ndata: ${JSON.stringify(event)}\n\n`;

const queued =
  'data: {"type":"job.queued","job":"job_abcd_1","queue_position":0,"eta_seconds":null}\n\n';

/** What the server sends to whoever starts after a cursor. */
const rest = (url = ""): string => {
  const after = new URL(url, "http://x").searchParams.get("starting_after");
  const start = after === null ? 0 : ids.indexOf(after) + 1;
  return (after === null ? queued : "") + log.slice(start).map(write).join("");
};

const begin = (response: ServerResponse): void => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
};

const serve: Answer = (request, response) => {
  begin(response);
  response.end(rest(request.url));
};

/** Send so many bytes, then cut the connection. */
const serveBytes =
  (count: number): Answer =>
  (request, response) => {
    begin(response);
    response.write(Buffer.from(rest(request.url)).subarray(0, count), () => response.destroy());
  };

const collect = async (feed: AsyncIterable<JobEventItem>): Promise<(string | null)[]> => {
  const seen: (string | null)[] = [];
  for await (const { id } of feed) seen.push(id);
  return seen;
};

describe("events", () => {
  // Two connections for each byte of the stream: seconds, where the machine has other work.
  test(
    "come once each, in order, wherever the connection is cut",
    { timeout: 30_000 },
    async ({ server }) => {
      const headrace = server.client();
      const size = Buffer.byteLength(rest());
      let resumed = 0;
      for (let count = 1; count < size; count += 1) {
        server.answers = [serveBytes(count), serve];
        const before = server.requests.length;
        const seen = await collect(headrace.events("job_abcd_1"));

        expect(
          seen.filter((id) => id !== null),
          `cut after ${count} bytes`,
        ).toEqual(ids);
        resumed += server.requests.length - before - 1;
      }
      expect(resumed).toBeGreaterThan(size / 2);
    },
  );

  test("go on after the last event when the server ends the stream politely", async ({
    server,
  }) => {
    server.answers = [
      (_request, response) => {
        begin(response);
        response.end(log.slice(0, 2).map(write).join(""));
      },
      serve,
    ];

    expect(await collect(server.client().events("job_abcd_1"))).toEqual(ids);
    expect(server.requests[1]?.url).toBe("/v1/jobs/job_abcd_1/events?starting_after=1-1");
  });

  test("start after the event the caller has", async ({ server }) => {
    server.answers = [serve];

    const feed = server.client().events("job_abcd_1", { startingAfter: "1-2" });

    expect(await collect(feed)).toEqual(["1-3", "1-4"]);
  });

  test("are not repeated although the server repeats them", async ({ server }) => {
    server.answers = [
      serveBytes(Buffer.byteLength(queued + log.slice(0, 3).map(write).join(""))),
      (_request, response) => {
        begin(response);
        response.end(log.map(write).join(""));
      },
    ];

    expect(await collect(server.client().events("job_abcd_1"))).toEqual([null, ...ids]);
  });

  test("come again from the start when the server has lost what the reader has", async ({
    server,
  }) => {
    const shorter = [
      ["1-0", { type: "attempt.started", epoch: 1, reason: "first", from: 0, reset: true }],
      text(1, "Wasser "),
      ["1-2", { type: "job.completed", job: "job_abcd_1", usage: null, latency }],
    ] satisfies [string, object][];
    server.answers = [
      serveBytes(Buffer.byteLength(queued + log.slice(0, 3).map(write).join(""))),
      (_request, response) => {
        begin(response);
        response.end(shorter.map(write).join(""));
      },
    ];
    let said = "";
    for await (const piece of server.client().text("job_abcd_1")) {
      said = piece.reset ? piece.text : said + piece.text;
    }

    expect(said).toBe("Wasser ");
  });

  test("are none for a reader that has had the end", async ({ server }) => {
    server.answers = [(_request, response) => void response.writeHead(204).end()];

    const feed = server.client().events("job_abcd_1", { startingAfter: "1-4" });

    expect(await collect(feed)).toEqual([]);
  });

  test("survive refusals that pass, and connections that fail", async ({ server }) => {
    server.answers = [
      refuse(503, "queue_unavailable"),
      refuse(502, "x"),
      refuse(429, "x", { "retry-after": "0" }),
      cut,
      serve,
    ];

    expect(await collect(server.client().events("job_abcd_1"))).toEqual([null, ...ids]);
    expect(server.requests).toHaveLength(5);
  });

  test("take a silent connection for dead, but not one with heartbeats", async ({ server }) => {
    const silenceMs = 150;
    let beats = 0;
    server.answers = [
      (_request, response) => {
        begin(response);
        const timer = setInterval(() => {
          beats += 1;
          response.write(": heartbeat\n\n");
          // Four beats outlast the silence that is allowed; then nothing comes any more.
          if (beats === 4) clearInterval(timer);
        }, silenceMs / 3);
      },
      serve,
    ];

    const seen = await collect(server.client({ timing: { silenceMs } }).events("job_abcd_1"));

    expect(seen).toEqual([null, ...ids]);
    expect(beats).toBe(4);
  });

  test("outlive a reader that takes longer than the silence allowed", async ({ server }) => {
    server.answers = [serve];
    let count = 0;
    for await (const { id } of server.client({ timing: { silenceMs: 20 } }).events("job_abcd_1")) {
      if (id === "1-1") await new Promise((resolve) => setTimeout(resolve, 60));
      count += 1;
    }

    expect(count).toBe(ids.length + 1);
    expect(server.requests).toHaveLength(1);
  });

  test("end with the server's refusal when no retry can help", async ({ server }) => {
    server.answers = [refuse(404, "job_not_found")];

    await expect(collect(server.client().events("job_abcd_1"))).rejects.toMatchObject({
      status: 404,
      code: "job_not_found",
      retryable: false,
    });
    expect(server.requests).toHaveLength(1);
  });

  test("end when the server has been away for too long", async ({ server }) => {
    server.answers = [cut];

    await expect(collect(server.client().events("job_abcd_1"))).rejects.toMatchObject({
      code: "connection_failed",
      retryable: true,
    });
    expect(server.requests.length).toBeGreaterThan(5);
  });

  test("free the connection when the reader leaves or aborts", async ({ server }) => {
    const closed = Promise.withResolvers<void>();
    server.answers = [
      (_request, response) => {
        begin(response);
        response.write(log.slice(0, 1).map(write).join(""));
        response.once("close", closed.resolve);
      },
    ];
    for await (const { id } of server.client().events("job_abcd_1")) {
      expect(id).toBe("1-0");
      break;
    }
    await closed.promise;

    const abort = new AbortController();
    const reading = collect(server.client().events("job_abcd_1", { signal: abort.signal }));
    abort.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
  });

  test("are refused in another shape than the contract's", async ({ server }) => {
    server.answers = [
      (_request, response) => {
        begin(response);
        response.end('id: 1-0\ndata: {"type":"surprise"}\n\n');
      },
    ];

    await expect(collect(server.client().events("job_abcd_1"))).rejects.toMatchObject({
      code: "response_invalid",
    });
  });
});

describe("text", () => {
  test("is what the first choice said", async ({ server }) => {
    server.answers = [serveBytes(500), serve];
    let said = "";
    for await (const piece of server.client().text("job_abcd_1")) said += piece.text;

    expect(said).toBe("Wasser fällt 🌊");
  });

  test("ends with the job's own error", async ({ server }) => {
    const error = { message: "too late", type: "server_error", param: null, code: "x_expired" };
    const expired = { type: "job.expired", job: "job_abcd_1", usage: null, latency, error };
    server.answers = [
      (_request, response) => {
        begin(response);
        response.end(write(["0-1", expired]));
      },
    ];
    const read = async (): Promise<void> => {
      for await (const piece of server.client().text("job_abcd_1")) expect(piece).toBeUndefined();
    };

    await expect(read()).rejects.toMatchObject({ code: "x_expired", message: "too late" });
  });
});
