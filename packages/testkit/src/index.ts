export { findFreePort, RedisServer } from "./redis-server.ts";
export { redisTest } from "./redis-test.ts";
export { SlowLink } from "./slow-link.ts";
