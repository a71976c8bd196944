import { once } from "node:events";
import { createServer } from "node:http";

import { Headrace } from "@headrace/client";
import type { Job, JobEvent, Timeline } from "@headrace/contract";
import { describe, expect, test as plainTest } from "vitest";

import { JobWatch } from "./job-watch.ts";
import { testTerminal } from "./test-output.ts";
import { describeStanding } from "./waiting-line.ts";

const latency = {
  job: "job_abcd_1",
  total_seconds: 1,
  ttft_seconds: 0.1,
  tpot_seconds: 0.1,
  stages: [],
  attempts: 1,
};
const attempt = (epoch: number, reset: boolean): JobEvent => ({
  type: "attempt.started",
  epoch,
  reason: epoch === 1 ? "first" : "worker_lost",
  from: 1,
  reset,
});
const said = (text: string): JobEvent => ({ type: "output.delta", choices: [{ index: 0, text }] });
const completed: JobEvent = { type: "job.completed", job: "job_abcd_1", usage: null, latency };

/** What the server knows of the job's attempts: it has forgotten two, and Redis was restarted. */
const timeline: Timeline = {
  job: "job_abcd_1",
  object: "timeline",
  status: "in_progress",
  created_at: 1,
  ended_at: null,
  error: null,
  attempts: [3, 1_004].map((epoch) => ({
    epoch,
    worker: "w",
    from: 0,
    reset: false,
    started_at: 2,
    ended_at: null,
    end: null,
    error_code: null,
  })),
  forgotten_attempts: 2,
  latency: null,
};

/** A server that tells one job's events, as the test says, and its timeline. */
const test = plainTest.extend("tell", async ({}, { onCleanup }) => {
  let events: readonly JobEvent[] = [];
  const server = createServer((request, response) => {
    if (request.url?.endsWith("/timeline")) {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(timeline));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const blocks = events.map(
      (event, index) => `id: 1-${index}\ndata: ${JSON.stringify(event)}\n\n`,
    );
    response.end(blocks.join(""));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onCleanup(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return (...told: readonly JobEvent[]): Headrace => {
    events = told;
    return new Headrace({ url: `http://127.0.0.1:${port}`, apiKey: "hr_test" });
  };
});

const never = new AbortController().signal;

describe("JobWatch", () => {
  test("writes the text, and nothing but the text, to the output", async ({ tell }) => {
    const terminal = testTerminal();
    const headrace = tell(attempt(1, false), said("Water "), said("falls."), completed);
    const ended = await new JobWatch(headrace, "job_abcd_1", terminal).run(never);

    expect(terminal.out.text).toBe("Water falls.");
    expect(terminal.err.text).toBe("");
    expect(ended).toMatchObject({ id: "job_abcd_1", status: "completed", error: null });
  });

  test("goes on without a word in the text when an attempt continues", async ({ tell }) => {
    const terminal = testTerminal();
    const headrace = tell(
      attempt(1, false),
      said("Water "),
      attempt(2, false),
      said("falls."),
      completed,
    );
    await new JobWatch(headrace, "job_abcd_1", terminal).run(never);

    expect(terminal.out.text).toBe("Water falls.");
    expect(terminal.err.text).toBe("· attempt 2 (worker lost)\n");
  });

  test("counts attempts as people do, whatever their epochs", async ({ tell }) => {
    const terminal = testTerminal();
    const headrace = tell(
      attempt(1, false),
      attempt(1_002, false),
      attempt(1_003, false),
      completed,
    );
    await new JobWatch(headrace, "job_abcd_1", terminal).run(never);

    expect(terminal.err.text).toBe("· attempt 2 (worker lost)\n· attempt 3 (worker lost)\n");
  });

  test("asks how many attempts came before those it sees", async ({ tell }) => {
    const terminal = testTerminal();
    const headrace = tell(attempt(1_004, true), attempt(1_005, false), completed);
    await new JobWatch(headrace, "job_abcd_1", terminal).run(never);

    expect(terminal.err.text).toBe("· attempt 4 (worker lost)\n· attempt 5 (worker lost)\n");
  });

  test("says of an attempt that nobody has counted no number", async ({ tell }) => {
    const terminal = testTerminal();
    await new JobWatch(tell(attempt(7, true), completed), "job_abcd_1", terminal).run(never);

    expect(terminal.err.text).toBe("· a further attempt (worker lost)\n");
  });

  test("says at a terminal that an attempt goes on, on a line of its own", async ({ tell }) => {
    const terminal = testTerminal({ isTty: true });
    const headrace = tell(
      attempt(1, false),
      said("Water "),
      attempt(2, false),
      said("falls."),
      completed,
    );
    await new JobWatch(headrace, "job_abcd_1", terminal).run(never);

    expect(terminal.out.text).toBe("Water \nfalls.\n");
  });

  test("starts anew at a terminal when what it wrote is void", async ({ tell }) => {
    const terminal = testTerminal({ isTty: true });
    const headrace = tell(attempt(1, false), said("Wat"), attempt(2, true), said("Ice"), completed);
    await new JobWatch(headrace, "job_abcd_1", terminal).run(never);

    expect(terminal.out.text).toBe("Wat\nIce\n");
    expect(terminal.err.text).toContain("void");
  });

  test("never goes on in a pipe after text that is void", async ({ tell }) => {
    const terminal = testTerminal();
    const headrace = tell(attempt(1, false), said("Wat"), attempt(2, true), said("Ice"), completed);

    await expect(new JobWatch(headrace, "job_abcd_1", terminal).run(never)).rejects.toThrow(
      /void.*headrace watch job_abcd_1/,
    );
    expect(terminal.out.text).toBe("Wat");
  });
});

describe("describeStanding", () => {
  const queued = {
    status: "queued",
    waiting_reason: "backlog",
    queue_position: 3,
    eta_seconds: 12.4,
  } as const satisfies Partial<Job>;

  test("tells the place and the time", () => {
    expect(describeStanding(queued)).toBe("queued · 3 ahead · starts in about 12.4 s …");
  });

  test("tells what else a job waits for", () => {
    expect(describeStanding({ ...queued, queue_position: 0, eta_seconds: null })).toBe(
      "queued · next …",
    );
    expect(describeStanding({ ...queued, waiting_reason: "no_worker" })).toContain("no worker");
    expect(describeStanding({ ...queued, status: "in_progress" })).toContain("first token");
  });
});
