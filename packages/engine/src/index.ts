export { Engine, type EngineOptions, type EngineReply } from "./engine.ts";
export { EngineError } from "./error.ts";
export type { EngineLoad } from "./gauges.ts";
export type { EngineMetrics, EngineOutcome, EngineSink } from "./generation.ts";
export type { EngineCall, EngineRequest } from "./request.ts";
export type { EngineModel, EngineTraits } from "./traits.ts";
export { InFlightWindow, type InFlightWindowOptions } from "./window.ts";
