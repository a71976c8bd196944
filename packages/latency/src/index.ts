export { latencyOf } from "./waterfall.ts";
