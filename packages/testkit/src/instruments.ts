// what also runs outside of vitest
export { FaultProxy } from "./fault-proxy.ts";
export { ManagedProcess, type ProcessOptions } from "./managed-process.ts";
export { Random } from "./random.ts";
export { findFreePort, RedisServer } from "./redis-server.ts";
export { SlowLink } from "./slow-link.ts";
