import { TENANT_SHARE } from "@headrace/broker";
import { durabilitySchema } from "@headrace/contract";
import { allowListVariable } from "@headrace/receivers";
import { integerVariable, LOG_LEVELS, portVariable } from "@headrace/runtime";
import { z } from "zod";

import { PATIENCE, TENANT_STREAM_SHARE } from "./readers.ts";

const MEBIBYTE = 1_048_576;
const BODY_LIMIT_BYTES = 8 * MEBIBYTE;
const LARGEST_BODY_LIMIT_BYTES = 256 * MEBIBYTE;
/** OpenAI's 200 MB, in the larger reading. */
const FILE_BYTES = 200 * MEBIBYTE;
/** Less than storage takes as one object. */
const LARGEST_FILE_BYTES = 102_400 * MEBIBYTE;
const MAX_CONNECTIONS = 20_000;
const MAX_STREAMS = 10_000;
const LARGEST_MAX_STREAMS = 1_000_000;
const LONGEST_UNREADY_MS = 10_000;
/** Longer than any call may take. */
const LONGEST_GRACE_MS = 3_600_000;
const REVIEW_MS = 2_000;
const LONGEST_REVIEW_MS = 30_000;
/** A key that can be guessed is no key: 16 characters of a random one hold 80 bits and more. */
const SHORTEST_KEY = 16;
const SMALLEST_SHARE = 0.01;
const MOST_ADDRESS_REQUESTS = 1_000_000_000;
const HIGHEST_PRICE = 1_000_000;
const LONGEST_CURRENCY = 16;

const peersVariable = z
  .string()
  .default("")
  .transform((text) => text.split(",").map((url) => url.trim()))
  .transform((urls) => urls.filter((url) => url !== ""))
  .pipe(z.array(z.url({ protocol: /^https?$/, error: "expected http(s) URLs, comma-separated" })));

/** Origins as browsers send them: scheme, host, and the port where it is not the scheme's own. */
const originsVariable = z
  .string()
  .default("")
  .transform((text) => text.split(",").map((origin) => origin.trim()))
  .transform((origins) => origins.filter((origin) => origin !== ""))
  .pipe(
    z.array(
      z
        .string()
        .refine(
          isOrigin,
          "expected exact origins such as https://app.example.com, comma-separated, without path or *",
        ),
    ),
  );

const proxiesVariable = z
  .string()
  .default("")
  .transform((text) => text.split(",").map((proxy) => proxy.trim()))
  .transform((proxies) => proxies.filter((proxy) => proxy !== ""))
  .pipe(
    z.array(
      z.union(
        [
          z.enum(["loopback", "linklocal", "uniquelocal"]),
          z.ipv4(),
          z.ipv6(),
          z.cidrv4(),
          z.cidrv6(),
        ],
        "expected addresses or networks such as 10.0.0.0/8, loopback, linklocal or uniquelocal, comma-separated",
      ),
    ),
  );

/** The ingress' environment: one field per variable. */
export const environmentSchema = z.object({
  /** The operator's own API key, with every scope. Others are made with it, and kept in Redis. */
  HEADRACE_API_KEY: z
    .string(`required, at least ${SHORTEST_KEY} characters`)
    .min(SHORTEST_KEY, `expected at least ${SHORTEST_KEY} characters`),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).default("redis://127.0.0.1:6379"),
  /** What a 202 is worth: that Redis has the job, has synced it, or that a replica has it too. */
  HEADRACE_DURABILITY: durabilitySchema.default("redis"),
  /** Where files of batches are kept: `file:///path`, `s3://bucket/prefix`. Without it there are none. */
  STORAGE_URL: z
    .url({ protocol: /^(file|s3)$/, error: "expected file:///path or s3://bucket/prefix" })
    .optional(),
  /** Largest file that may be uploaded, in bytes. */
  BATCH_FILE_BYTES: integerVariable(1, LARGEST_FILE_BYTES).default(FILE_BYTES),
  /** Address to listen on, for both ports. A container sets 0.0.0.0. */
  INGRESS_HOST: z.string().default("127.0.0.1"),
  /** The API's port; 0 lets the system choose. */
  INGRESS_PORT: portVariable.default(8_080),
  /** Port of `/metrics`, `/healthz` and `/readyz` for those who run it; 0 lets the system choose. */
  INGRESS_OPERATIONS_PORT: portVariable.default(9_090),
  /** Largest request body, in bytes. */
  INGRESS_BODY_LIMIT_BYTES: integerVariable(1, LARGEST_BODY_LIMIT_BYTES).default(BODY_LIMIT_BYTES),
  /** Connections open at once; more are closed as they come. */
  INGRESS_MAX_CONNECTIONS: integerVariable(1, LARGEST_MAX_STREAMS).default(MAX_CONNECTIONS),
  /** Streams, synchronous calls and long polls held open at once; more are answered 503. */
  INGRESS_MAX_STREAMS: integerVariable(1, LARGEST_MAX_STREAMS).default(MAX_STREAMS),
  /**
   * The part of those that one tenant may have, and at least 16, so that there is room for others. 1
   * where there is one tenant only.
   */
  INGRESS_TENANT_STREAM_SHARE: z.coerce
    .number()
    .min(SMALLEST_SHARE)
    .max(1)
    .default(TENANT_STREAM_SHARE),
  /**
   * URLs of other processes' metrics, comma-separated. When set, the API's port serves all of them
   * and its own as one `/metrics` page, to loopback callers only.
   */
  INGRESS_METRICS_PEERS: peersVariable,
  /** Origins whose pages may call the API from a browser, comma-separated; none unless listed. */
  INGRESS_CORS_ORIGINS: originsVariable,
  /** "true" where callers come over TLS that a proxy ends: browsers are told to keep to it. */
  INGRESS_BEHIND_TLS: z.enum(["true", "false"]).default("false"),
  /**
   * Requests a minute from one address, whatever they ask, and of these 600 at most with a wrong key. 0 =
   * any number. Each process counts its own; where this is set, those that make jobs are counted over all
   * processes too, of each tenant. Not set, it is 600,000. Behind a proxy all callers have its address
   * unless it is listed in `INGRESS_TRUSTED_PROXIES`.
   */
  INGRESS_ADDRESS_REQUESTS_PER_MINUTE: integerVariable(0, MOST_ADDRESS_REQUESTS).optional(),
  /**
   * What one tenant's jobs may take of Redis, open or kept: this share of what they take and what is
   * free together, so that there is room for others. 1 where there is one tenant only.
   */
  INGRESS_TENANT_MEMORY_SHARE: z.coerce.number().min(SMALLEST_SHARE).max(1).default(TENANT_SHARE),
  /** Proxies before us, whose `X-Forwarded-For` is believed: addresses or networks, comma-separated. */
  INGRESS_TRUSTED_PROXIES: proxiesVariable,
  /**
   * Receivers of webhooks that may be named although they are not on the Internet, as in the environment
   * of the webhooks process: others would never be sent to.
   */
  WEBHOOKS_ALLOW: allowListVariable,
  /** What an hour of one GPU costs: what jobs cost in `/v1/usage`, and in monthly budgets. */
  HEADRACE_GPU_HOUR_PRICE: z.coerce.number().min(0).max(HIGHEST_PRICE).default(0),
  /** What that price is in: a name shown beside costs. */
  HEADRACE_CURRENCY: z.string().min(1).max(LONGEST_CURRENCY).optional(),
  /** The model of calls that name none, on the routes of a plain server; else the only one. */
  HEADRACE_DEFAULT_MODEL: z.string().optional(),
  /** Where each prompt is sent for review before it is queued; see docs/content-filter.md. */
  INGRESS_CONTENT_FILTER_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** Sent to that URL as `Authorization: Bearer`. */
  INGRESS_CONTENT_FILTER_TOKEN: z.string().optional(),
  /** A module of the operator's own that reviews prompts, instead of a URL. */
  INGRESS_CONTENT_FILTER_MODULE: z.string().optional(),
  /** Longest that a review may take, ms. */
  INGRESS_CONTENT_FILTER_TIMEOUT_MS: integerVariable(1, LONGEST_REVIEW_MS).default(REVIEW_MS),
  /** What becomes of a prompt that could not be reviewed: refused with 503, or let through. */
  INGRESS_CONTENT_FILTER_ON_FAILURE: z.enum(["reject", "allow"]).default("reject"),
  /**
   * How long a process that is told to stop serves on while `/readyz` says that it is not ready, ms:
   * what a load balancer takes to notice.
   */
  INGRESS_UNREADY_MS: integerVariable(0, LONGEST_UNREADY_MS).default(0),
  /**
   * How long calls that wait for an answer, or take a stream, may go on once the process is told to
   * stop, ms; then they are ended with an error. A pod's termination grace must be longer by
   * `INGRESS_UNREADY_MS` and 5 s.
   */
  INGRESS_GRACE_MS: integerVariable(0, LONGEST_GRACE_MS).default(PATIENCE.graceMs),
  LOG_LEVEL: z.enum(LOG_LEVELS).default("info"),
});

function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:[^*]+$/.test(text) && new URL(text).origin === text;
}
