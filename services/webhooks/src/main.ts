import { createLog, Metrics, readEnvironment, runService } from "@headrace/runtime";

import { environmentSchema } from "./environment.ts";
import { deliverWebhooks } from "./webhooks.ts";

const NAME = "webhooks";

await runService(createLog(NAME, "info"), async (signal) => {
  const environment = readEnvironment(environmentSchema);
  const log = createLog(NAME, environment.LOG_LEVEL);
  await deliverWebhooks({ environment, log, metrics: new Metrics(NAME) }, signal);
});
