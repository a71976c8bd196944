import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { type EngineSim, startEngineSim } from "./server.ts";
import { engineOptions, type EngineSimOptions, fillSettings, readCommandLine } from "./settings.ts";
import { post, postStreaming } from "./sse-client.ts";

const messages = [{ role: "user", content: "Hello" }];
const WAIT = { interval: 5, timeout: 2_000 };

async function start(options: EngineSimOptions): Promise<EngineSim> {
  const engine = await startEngineSim({ port: 0, stepMs: 1, ...options });
  onTestFinished(async () => engine.close());
  return engine;
}

async function metric(engine: EngineSim, name: string): Promise<number> {
  const text = await (await fetch(`${engine.url}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name}{`));
  return Number(line?.split(" ").at(-1));
}

describe("the engine", () => {
  test("keeps the pace of its steps, though timers are coarser and late", async () => {
    const engine = await start({ stepMs: 0.5 });
    const completions = `${engine.url}/v1/completions`;
    await postStreaming(completions, { prompt: "A", max_tokens: 1 });
    const startedAt = performance.now();
    await postStreaming(completions, { prompt: "A", max_tokens: 400, ignore_eos: true });
    const elapsedMs = performance.now() - startedAt;

    expect(elapsedMs).toBeGreaterThan(400 * 0.5 - 5);
    expect(elapsedMs).toBeLessThan(400 * 0.5 * 1.6);
  });

  test("runs as many sequences as allowed, and shows the others waiting", async () => {
    const engine = await start({ maxNumSeqs: 2, stepMs: 20 });
    const chat = `${engine.url}/v1/chat/completions`;
    const controller = new AbortController();
    const calls = [1, 2, 3].map(async () =>
      post(chat, { messages, ignore_eos: true }, controller.signal),
    );
    await expect.poll(async () => metric(engine, "vllm:num_requests_waiting"), WAIT).toBe(1);

    expect(await metric(engine, "vllm:num_requests_running")).toBe(2);
    expect(await metric(engine, "vllm:kv_cache_usage_perc")).toBeGreaterThan(0);
    controller.abort();
    await Promise.allSettled(calls);
    await expect.poll(async () => metric(engine, "vllm:num_requests_running"), WAIT).toBe(0);
    expect(await metric(engine, "vllm:num_requests_waiting")).toBe(0);
    expect(await metric(engine, "vllm:kv_cache_usage_perc")).toBe(0);
  });

  test("answers 503 beyond its queue limits, and counts why", async () => {
    const engine = await start({ maxNumQueuedReqs: 2, stepMs: 20 });
    const chat = `${engine.url}/v1/chat/completions`;
    const controller = new AbortController();
    const call = post(chat, { messages, n: 2, ignore_eos: true }, controller.signal);
    await expect.poll(async () => metric(engine, "vllm:num_requests_running"), WAIT).toBe(2);
    const refused = await post(chat, { messages });

    expect(refused.status).toBe(503);
    expect(await metric(engine, "vllm:admission_rejections_total")).toBe(1);
    controller.abort();
    await expect(call).rejects.toThrow(/aborted/);
  });

  test("counts tokens, prefix hits and times under vLLM's names", async () => {
    const engine = await start({});
    const body = { prompt: Array.from({ length: 40 }, (_, id) => id), max_tokens: 7 };
    for (let call = 0; call < 2; call++) await post(`${engine.url}/v1/completions`, body);

    expect(await metric(engine, "vllm:prompt_tokens_total")).toBe(80);
    expect(await metric(engine, "vllm:generation_tokens_total")).toBe(14);
    expect(await metric(engine, "vllm:prefix_cache_hits_total")).toBe(32);
    expect(await metric(engine, "vllm:inter_token_latency_seconds_count")).toBe(12);
    expect(await metric(engine, "vllm:time_to_first_token_seconds_count")).toBe(2);
    expect(await metric(engine, "vllm:e2e_request_latency_seconds_count")).toBe(2);
  });

  test("serves by priority when told to", async () => {
    const engine = await start({ maxNumSeqs: 1, schedulingPolicy: "priority", stepMs: 3 });
    const order: string[] = [];
    const call = async (name: string, priority: number): Promise<void> => {
      await post(`${engine.url}/v1/chat/completions`, { messages, priority, max_tokens: 20 });
      order.push(name);
    };
    const first = call("first", 0);
    await expect.poll(async () => metric(engine, "vllm:num_requests_running"), WAIT).toBe(1);
    const late = call("late", 5);
    await expect.poll(async () => metric(engine, "vllm:num_requests_waiting"), WAIT).toBe(1);
    await Promise.all([first, late, call("urgent", -5)]);

    expect(order).toEqual(["first", "urgent", "late"]);
  });
});

describe("the command line", () => {
  test("names every fault of a bad one", () => {
    expect(
      readCommandLine(["--profile", "tpu", "--port=x", "--speed", "--kv-blocks", "0"]),
    ).toEqual({
      ask: "impossible",
      faults: [
        "--speed is unknown",
        expect.stringMatching(/^--port: .*number/),
        expect.stringMatching(/^--profile: must be one of fast, h100-8b/),
        expect.stringMatching(/^--kv-blocks: /),
      ],
    });
  });

  test("lets a short KV cache shorten the model, but not below what was asked for", () => {
    expect(engineOptions(fillSettings({ kvBlocks: 8 })).maxModelLen).toBe(128);
    expect(() => fillSettings({ kvBlocks: 8, maxModelLen: 129 })).toThrow(/16 × --kv-blocks/);
    expect(engineOptions(fillSettings({ maxModelLen: 2_000_000 })).limits.kvBlocks).toBe(125_000);
  });

  test("overrides the profile's constants one by one", () => {
    const argv = [
      "--profile",
      "l4-7b",
      "--prefill-tokens-per-second",
      "500",
      "--max-num-seqs",
      "3",
    ];
    const command = readCommandLine(argv);
    if (command.ask !== "serve") throw new Error("the command line is good");

    expect(engineOptions(command.settings)).toMatchObject({
      times: { weightsMs: 59.7, prefillTokenMs: 2 },
      limits: { maxNumSeqs: 3, kvBlocks: 5_300 },
    });
  });
});

describe("the process", () => {
  test("says its port in one line, and SIGTERM ends it with a stream open", async () => {
    const main = new URL("main.ts", import.meta.url).pathname;
    const child = spawn(process.execPath, [main, "--port", "0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    const [line] = await once(child.stdout, "data");
    const { event, port } = JSON.parse(String(line));
    expect([event, typeof port]).toEqual(["listening", "number"]);
    const url = `http://127.0.0.1:${port}/v1/chat/completions`;
    const response = await post(url, { messages, ignore_eos: true, stream: true });
    const broken = response.text().catch((error: unknown) => error);
    child.kill("SIGTERM");

    expect(await exited).toEqual([0, null]);
    expect(await broken).toBeInstanceOf(Error);
  });
});
