// @ts-check
import { join } from "node:path";
import { expect } from "vitest";
import { findRedis } from "./redis.js";
import { folderTest, writeProgram } from "./stand-ins.js";

const { signal } = new AbortController();

/**
 * @param {string} version
 * @returns {string} a script that answers as a server of that version does
 */
const server = (version) => `echo "Redis server v=${version} sha=00000000:0 malloc=libc bits=64"`;

folderTest("finds redis-server", async ({ folder }) => {
  writeProgram(folder, "redis-server", server("7.0.15"));

  const path = await findRedis({ env: { PATH: folder }, signal });

  expect(path).toBe(join(folder, "redis-server"));
});

folderTest("takes valkey-server when redis-server is too old", async ({ folder }) => {
  writeProgram(folder, "redis-server", server("6.2.14"));
  writeProgram(folder, "valkey-server", 'echo "Valkey server v=8.0.1 sha=00000000:0"');

  const path = await findRedis({ env: { PATH: folder }, signal });

  expect(path).toBe(join(folder, "valkey-server"));
});

folderTest("says which server is too old, and what is needed", async ({ folder }) => {
  writeProgram(folder, "redis-server", server("6.0.16"));

  await expect(findRedis({ env: { PATH: folder }, signal })).rejects.toThrow(
    /redis-server is version 6\.0\.16\.\nHeadrace needs Redis 7\.0\.0 or newer/,
  );
});

folderTest("finds none on a machine that has none", async ({ folder }) => {
  await expect(findRedis({ env: { PATH: folder }, signal })).resolves.toBeNull();
});

folderTest("uses the server that the environment names, and no other", async ({ folder }) => {
  writeProgram(folder, "redis-server", server("7.0.15"));
  writeProgram(folder, "keydb", server("7.4.0"));
  const named = join(folder, "keydb");

  const path = await findRedis({ env: { PATH: folder, HEADRACE_REDIS_SERVER: named }, signal });
  const missing = findRedis({ env: { PATH: folder, HEADRACE_REDIS_SERVER: "/nowhere" }, signal });

  expect(path).toBe(named);
  await expect(missing).rejects.toThrow("HEADRACE_REDIS_SERVER is /nowhere, which is no program");
});
