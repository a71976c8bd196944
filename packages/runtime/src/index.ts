export {
  childEnvironment,
  ConfigurationError,
  integerVariable,
  portVariable,
  readEnvironment,
} from "./environment.ts";
export { createLog, createReport, LOG_LEVELS, type Log, type LogLevel } from "./log.ts";
export { Metrics } from "./metrics.ts";
export { OperationsServer, portOf, type OperationsServerOptions } from "./operations-server.ts";
export { processName } from "./process-name.ts";
export { runService, whenAborted } from "./service.ts";
