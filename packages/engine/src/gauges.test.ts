import { expect, test } from "vitest";

import { parseLoad } from "./gauges.ts";

const PAGE = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a {b} c"} 12.0
vllm:num_requests_running{engine="1",model_name="a {b} c"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 4.0
vllm:num_requests_waiting{engine="1",model_name="m"} 1e+01
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
`;

test("adds up running and waiting over engines and takes the fullest cache", () => {
  expect(parseLoad(PAGE)).toEqual({ running: 15, waiting: 14, kvCacheUsage: 0.5 });
});

test("knows the cache gauge by its old name", () => {
  const page = PAGE.replaceAll("kv_cache_usage_perc", "gpu_cache_usage_perc");

  expect(parseLoad(page)?.kvCacheUsage).toBe(0.5);
});

test("passes over samples that are no numbers", () => {
  expect(parseLoad(`${PAGE}vllm:num_requests_running NaN\n`)?.running).toBe(15);
});

test("finds nothing on another server's page", () => {
  expect(parseLoad("process_cpu_seconds_total 1.5\nllamacpp:requests_processing 2\n")).toBeNull();
  expect(parseLoad("")).toBeNull();
});
