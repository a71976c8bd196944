import { redisTest as test } from "@headrace/testkit";
import { describe, expect } from "vitest";

import { ModelRegistry } from "./model-registry.ts";

const MODEL = { version: "v1", maxModelLength: 100 };

describe("a process' list of models", () => {
  test("has a model at once that it had looked for in vain", async ({ redis }) => {
    let now = 0;
    const reading = new ModelRegistry(redis, () => now);
    const writing = new ModelRegistry(redis, () => now);
    const before = [await reading.find("acme/first"), await reading.list()];
    await writing.register(["acme/first"], MODEL);
    const atOnce = await reading.find("acme/first");
    now = 100;
    const soon = [await reading.find("acme/first"), await reading.list()];

    expect(before).toEqual([null, new Map()]);
    expect(atOnce).toMatchObject(MODEL);
    expect(soon[0]).toMatchObject(MODEL);
    expect(soon[1]).toMatchObject(new Map([["acme/first", MODEL]]));
  });

  test("looks again for a name that it lacks, beside others that it has", async ({ redis }) => {
    let now = 0;
    const reading = new ModelRegistry(redis, () => now);
    const writing = new ModelRegistry(redis, () => now);
    await writing.register(["acme/first"], MODEL);
    await reading.list();
    await writing.register(["acme/second"], MODEL);
    now = 100;

    await expect(reading.find("acme/second")).resolves.toMatchObject(MODEL);
  });

  test("is believed for a second where it has what is asked for", async ({ redis }) => {
    let now = 0;
    const reading = new ModelRegistry(redis, () => now);
    const writing = new ModelRegistry(redis, () => now);
    await writing.register(["acme/first"], MODEL);
    await reading.find("acme/first");
    await writing.register(["acme/first"], { ...MODEL, version: "v2" });
    now = 999;
    const within = await reading.find("acme/first");
    now = 1_000;

    expect(within).toMatchObject(MODEL);
    await expect(reading.find("acme/first")).resolves.toMatchObject({ version: "v2" });
  });
});
