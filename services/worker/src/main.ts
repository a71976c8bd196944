import {
  createLog,
  Metrics,
  OperationsServer,
  readEnvironment,
  runService,
} from "@headrace/runtime";

import { environmentSchema } from "./config.ts";
import { Worker } from "./worker.ts";

const NAME = "worker";

await runService(createLog(NAME, "info"), async (signal) => {
  const config = readEnvironment(environmentSchema);
  const log = createLog(NAME, config.LOG_LEVEL);
  const metrics = new Metrics(NAME);
  const worker = new Worker(config, log, metrics);
  const operations = await OperationsServer.listen({
    host: config.WORKER_OPERATIONS_HOST,
    port: config.WORKER_OPERATIONS_PORT,
    metrics,
    assertReady: () => worker.assertReady(),
  });
  log.info(
    { operationsPort: operations.port, engine: new URL(config.ENGINE_URL).origin },
    "starting",
  );
  try {
    await worker.run(signal);
  } finally {
    await operations.close();
  }
});
