export { findFreePort, RedisServer } from "./redis-server.ts";
export { redisTest } from "./redis-test.ts";
