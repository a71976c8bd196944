import { pathToFileURL } from "node:url";

import type { UpOptions } from "../platform-flags.ts";
import type { DataDirectory } from "../data-directory.ts";
import type { Environment } from "../environment.ts";
import { CommandFailure } from "../failure.ts";
import { assertAvailable, findFreePorts, isLoopback, LOCAL, toUrl } from "./address.ts";
import type { PartPlan } from "./part.ts";
import { planRedis } from "./redis.ts";
import { planBatcher, planEngine, planIngress, planWebhooks, planWorker } from "./services.ts";

/** A part, and where it is to be found. */
export interface Placed {
  readonly plan: PartPlan;
  readonly where: string;
}

/** All parts by what they need: Redis and engine nothing, workers both, all others Redis. */
export interface Layout {
  /** Where the API serves. */
  readonly url: string;
  /** Empty when one that runs already is used, as for the engine. */
  readonly redis: readonly Placed[];
  readonly engine: readonly Placed[];
  readonly workers: readonly Placed[];
  readonly ingress: readonly Placed[];
  readonly webhooks: readonly Placed[];
  readonly batchers: readonly Placed[];
}

/** Parts of which there is one. */
const FIXED_PORTS = 5;
/** Receivers on this machine, such as `headrace webhooks listen`. */
const LOCAL_RECEIVERS = "127.0.0.1,::1,localhost";

export interface LayoutOptions {
  readonly up: UpOptions;
  readonly environment: Environment;
  readonly directory: DataDirectory;
  readonly apiKey: string;
}

/**
 * Give every part its port and tell it where the others are.
 *
 * @throws CommandFailure when the API's port is taken, or there is no Redis to start
 */
export async function layOut(options: LayoutOptions): Promise<Layout> {
  const { up, environment, directory, apiKey } = options;
  const ports = await findPorts(up);
  const port = up.port === 0 ? ports.api : up.port;
  await assertAvailable(up.host, port);
  const url = toUrl(up.host, port);

  assertReplica(options);
  const ownRedis =
    up["redis-url"] === undefined
      ? planRedis(directory, environment, up["redis-port"] ?? ports.redis)
      : null;
  const redisUrl = ownRedis?.url ?? up["redis-url"] ?? "";
  const ownEngine = up["engine-url"] === undefined ? planEngine(ports.engine) : null;
  const engineUrl = up["engine-url"] ?? toUrl(LOCAL, ports.engine);
  const workers = ports.workers.map((operationsPort, index) => ({
    plan: planWorker({ name: `worker-${index + 1}`, operationsPort, redisUrl, engineUrl }),
    where: `takes jobs to ${engineUrl}`,
  }));
  const metricsPeers = [
    ...(ownEngine === null ? [] : [`${engineUrl}/metrics`]),
    ...[ports.webhooks, ports.batcher, ...ports.workers].map(
      (peer) => `${toUrl(LOCAL, peer)}/metrics`,
    ),
  ];
  const durability = environment.HEADRACE_DURABILITY;
  const storageUrl = pathToFileURL(directory.objectsPath).href;
  const batcher = planBatcher({ operationsPort: ports.batcher, redisUrl, durability, storageUrl });
  const ingress = planIngress({
    host: up.host,
    port,
    redisUrl,
    apiKey,
    durability,
    metricsPeers,
    storageUrl,
    allow: receiversOf(options),
  });
  return {
    url,
    redis: ownRedis === null ? [] : [{ plan: ownRedis.plan, where: `${LOCAL}:${ownRedis.port}` }],
    engine: ownEngine === null ? [] : [{ plan: ownEngine, where: engineUrl }],
    workers,
    ingress: [{ plan: ingress, where: url }],
    webhooks: [placeWebhooks(options, ports.webhooks, redisUrl)],
    batchers: [{ plan: batcher, where: "runs batches" }],
  };
}

interface Ports {
  readonly api: number;
  readonly redis: number;
  readonly engine: number;
  readonly webhooks: number;
  readonly batcher: number;
  readonly workers: readonly number[];
}

/** Find a port for each part, whether it turns out to be needed or not. */
async function findPorts({ workers: workerCount }: UpOptions): Promise<Ports> {
  const found = await findFreePorts(FIXED_PORTS + workerCount);
  const [api = 0, redis = 0, engine = 0, webhooks = 0, batcher = 0, ...workers] = found;
  return { api, redis, engine, webhooks, batcher, workers };
}

function placeWebhooks(options: LayoutOptions, operationsPort: number, redisUrl: string): Placed {
  const plan = planWebhooks({ operationsPort, redisUrl, allow: receiversOf(options) });
  return { plan, where: "tells receivers what ended" };
}

/**
 * Whoever can reach an API that only serves this machine can reach all else on it, too. Of one that
 * serves others, only its operator can say what its callers may have requests sent to.
 */
function receiversOf({ up, environment }: LayoutOptions): string | null {
  const isOpen = environment.WEBHOOKS_ALLOW === undefined && isLoopback(up.host);
  return isOpen ? LOCAL_RECEIVERS : null;
}

/** A Redis of our own is one process on one machine: there is no other to have what it loses. */
function assertReplica({ up, environment }: LayoutOptions): void {
  if (environment.HEADRACE_DURABILITY !== "replicated" || up["redis-url"] !== undefined) return;
  throw new CommandFailure(
    "HEADRACE_DURABILITY is replicated, and the Redis that would be started here has no replica.\nName one that has: --redis-url redis://host:6379",
  );
}
