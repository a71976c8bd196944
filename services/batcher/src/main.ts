import { BatchBroker } from "@headrace/broker";
import {
  createLog,
  createReport,
  Metrics,
  OperationsServer,
  readEnvironment,
  runService,
} from "@headrace/runtime";
import { openObjects } from "@headrace/storage";

import { Batcher } from "./batcher.ts";
import { environmentSchema } from "./environment.ts";
import { BatcherEvents } from "./events.ts";

const NAME = "batcher";
/** How long Redis may take to answer when the process starts, ms. */
const START_MS = 30_000;

await runService(createLog(NAME, "info"), async (signal) => {
  const environment = readEnvironment(environmentSchema);
  const log = createLog(NAME, environment.LOG_LEVEL);
  const report = createReport(log);
  const metrics = new Metrics(NAME);
  const objects = await openObjects(environment.STORAGE_URL);
  const broker = new BatchBroker({
    redisUrl: environment.REDIS_URL,
    durability: environment.HEADRACE_DURABILITY,
    report,
  });
  const countRunning = (): number => batcher.runningCount;
  const tools = {
    broker,
    objects,
    events: new BatcherEvents(metrics, log, { report, countRunning }),
    mostLines: environment.BATCH_LINES,
    scratchFolder: environment.BATCHER_SCRATCH,
    gpuHourPrice: environment.HEADRACE_GPU_HOUR_PRICE,
  };
  const batcher: Batcher = new Batcher(tools, environment.BATCHER_BATCHES);
  try {
    await broker.assertReady(START_MS);
    const operations = await OperationsServer.listen({
      host: environment.BATCHER_OPERATIONS_HOST,
      port: environment.BATCHER_OPERATIONS_PORT,
      metrics,
      assertReady: () => broker.ping(),
    });
    log.info({ operationsPort: operations.port }, "taking up batches");
    try {
      await batcher.run(signal);
    } finally {
      await operations.close();
    }
  } finally {
    await broker.close();
  }
});
