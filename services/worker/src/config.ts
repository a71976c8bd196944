import { integerVariable, LOG_LEVELS, portVariable } from "@headrace/runtime";
import { z } from "zod";

/** A worker's environment variables. */
export const environmentSchema = z.object({
  /** Where Redis is: `redis://` or `rediss://`, with user and password if it wants them. */
  REDIS_URL: z.url().default("redis://127.0.0.1:6379"),
  /** Base address of the vLLM, or other OpenAI-compatible server, that this worker feeds. */
  ENGINE_URL: z.url().default("http://127.0.0.1:8000"),
  /** The engine's `--api-key`, if it has one. */
  ENGINE_API_KEY: z.string().min(1).optional(),
  /** Version of the model that the engine serves: names the queue its jobs wait in. */
  WORKER_MODEL_VERSION: z
    .string()
    .regex(/^[\w.-]{1,64}$/, "expected up to 64 letters, digits, '_', '.' or '-'")
    .default("v1"),
  /** GPUs that the engine runs on: so many seconds of GPU pass in each second that it works. */
  WORKER_GPUS: integerVariable(1, 1_024).default(1),
  /** Most jobs in flight, whatever the engine could take. */
  WORKER_MAX_IN_FLIGHT: integerVariable(1, 4_096).default(256),
  /** Jobs in flight before anything is known of the engine. */
  WORKER_INITIAL_IN_FLIGHT: integerVariable(1, 4_096).default(32),
  /** How long running jobs may go on after SIGTERM before they are handed back. */
  WORKER_DRAIN_MS: integerVariable(0, 3_600_000).default(1_000),
  /** Attempts a job may burn before it fails. */
  WORKER_MAX_ATTEMPTS: integerVariable(1, 10).default(3),
  ENGINE_CONNECT_TIMEOUT_MS: integerVariable(10, 600_000).default(5_000),
  /** The engine's own queue and prefill are in it. */
  ENGINE_FIRST_TOKEN_TIMEOUT_MS: integerVariable(10, 3_600_000).default(300_000),
  /** Longest silence between two chunks. */
  ENGINE_SILENCE_TIMEOUT_MS: integerVariable(10, 3_600_000).default(60_000),
  /** Bytes of one response as they come from the engine: some 300 per token. */
  ENGINE_MAX_OUTPUT_BYTES: integerVariable(1_024, 1_073_741_824).default(67_108_864),
  /** Where `/metrics`, `/healthz` and `/readyz` are served; port 0 lets the system choose. */
  WORKER_OPERATIONS_HOST: z.string().default("127.0.0.1"),
  WORKER_OPERATIONS_PORT: portVariable.default(9_091),
  LOG_LEVEL: z.enum(LOG_LEVELS).default("info"),
});

export type WorkerConfig = z.infer<typeof environmentSchema>;
