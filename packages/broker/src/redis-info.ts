import type { Redis } from "ioredis";

/** Read what `INFO` says, by field: managed Redis forbids `CONFIG`, and this never. */
export async function readInfo(
  redis: Redis,
  ...sections: readonly string[]
): Promise<ReadonlyMap<string, string>> {
  return new Map(
    (await redis.info(...sections))
      .split("\r\n")
      .map((line) => /^([^:]*):?(.*)$/.exec(line) ?? [])
      .map(([, name = "", value = ""]) => [name, value]),
  );
}
