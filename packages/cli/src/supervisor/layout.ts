import { pathToFileURL } from "node:url";

import type { UpOptions } from "../command-line.ts";
import type { DataDirectory } from "../data-directory.ts";
import type { Environment } from "../environment.ts";
import { CommandFailure } from "../failure.ts";
import { assertAvailable, findFreePorts, isLoopback, LOCAL, toUrl } from "./address.ts";
import type { PartPlan } from "./part.ts";
import { planRedis } from "./redis.ts";
import { planEngine, planIngress, planWebhooks, planWorker } from "./services.ts";

/** A part, and where it is to be found. */
export interface Placed {
  readonly plan: PartPlan;
  readonly where: string;
}

/** All parts by what they need: Redis and engine nothing, workers both, ingress and webhooks Redis. */
export interface Layout {
  /** Where the API serves. */
  readonly url: string;
  /** Empty when one that runs already is used, as for the engine. */
  readonly redis: readonly Placed[];
  readonly engine: readonly Placed[];
  readonly workers: readonly Placed[];
  readonly ingress: readonly Placed[];
  readonly webhooks: readonly Placed[];
}

/** Ports that are found whether they are needed or not: the API's, Redis', the engine's, webhooks'. */
const FIXED_PORTS = 4;
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
  const [freePort = 0, redisPort = 0, enginePort = 0, webhooksPort = 0, ...workerPorts] =
    await findFreePorts(FIXED_PORTS + up.workers);
  const port = up.port === 0 ? freePort : up.port;
  await assertAvailable(up.host, port);
  const url = toUrl(up.host, port);

  assertReplica(options);
  const ownRedis =
    up["redis-url"] === undefined
      ? planRedis(directory, environment, up["redis-port"] ?? redisPort)
      : null;
  const redisUrl = ownRedis?.url ?? up["redis-url"] ?? "";
  const ownEngine = up["engine-url"] === undefined ? planEngine(enginePort) : null;
  const engineUrl = up["engine-url"] ?? toUrl(LOCAL, enginePort);
  const workers = workerPorts.map((operationsPort, index) => ({
    plan: planWorker({ name: `worker-${index + 1}`, operationsPort, redisUrl, engineUrl }),
    where: `takes jobs to ${engineUrl}`,
  }));
  const metricsPeers = [
    ...(ownEngine === null ? [] : [`${engineUrl}/metrics`]),
    ...[webhooksPort, ...workerPorts].map((peer) => `${toUrl(LOCAL, peer)}/metrics`),
  ];
  const durability = environment.HEADRACE_DURABILITY;
  const allow = receiversOf(options);
  const ingress = planIngress({
    host: up.host,
    port,
    redisUrl,
    apiKey,
    durability,
    metricsPeers,
    allow,
    storageUrl: pathToFileURL(directory.objectsPath).href,
  });
  return {
    url,
    redis: ownRedis === null ? [] : [{ plan: ownRedis.plan, where: `${LOCAL}:${ownRedis.port}` }],
    engine: ownEngine === null ? [] : [{ plan: ownEngine, where: engineUrl }],
    workers,
    ingress: [{ plan: ingress, where: url }],
    webhooks: [
      {
        plan: planWebhooks({ operationsPort: webhooksPort, redisUrl, allow }),
        where: "tells receivers what ended",
      },
    ],
  };
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
