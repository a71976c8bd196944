import { utimes } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

import { type ObjectStore, openObjects } from "@headrace/storage";
import { FaultProxy } from "@headrace/testkit/instruments";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";

import { CREDENTIALS, VersityGateway } from "./versity-gateway.ts";

const MEBIBYTE = 1_048_576;
/** Three parts, and a piece. */
const LARGE_MEBIBYTES = 16;
/** How soon a call that is aborted ends, though nobody answers: what its undoing may take, and a little. */
const PROMPT_MS = 9_000;

let gateway: VersityGateway;
let proxy: FaultProxy;
let objects: ObjectStore;

beforeAll(async () => {
  gateway = await VersityGateway.start();
  proxy = await FaultProxy.start(gateway.port);
});
afterAll(async () => {
  await proxy.close();
  await gateway.stop();
});
beforeEach(async () => {
  for (const [name, value] of Object.entries(CREDENTIALS)) vi.stubEnv(name, value);
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  objects = await openObjects(gateway.newPlace({ port: proxy.port }));
});
afterEach(() => {
  proxy.heal();
  gateway.resume();
  vi.unstubAllEnvs();
});

// What happens in the midst of it does so when parts of it are stored.
async function* large(inTheMidst?: () => Promise<void> | void): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < LARGE_MEBIBYTES; at += 1) {
    if (at === LARGE_MEBIBYTES - 2) await inTheMidst?.();
    yield Buffer.alloc(MEBIBYTE, `${at},`);
  }
}

async function textOf(key: string): Promise<string> {
  const { body } = await objects.read(key);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe("an upload that does not end well", () => {
  test("leaves no parts, be it refused, aborted or broken off", async () => {
    const abort = new AbortController();
    const nobodyWaits = new Error("nobody waits");
    const brokeOff = new Error("it broke off");
    const outcomes = await Promise.allSettled([
      objects.put(
        "a",
        large(() => abort.abort(nobodyWaits)),
        { signal: abort.signal },
      ),
      objects.put(
        "b",
        large(() => Promise.reject(brokeOff)),
      ),
    ]);

    expect(outcomes).toMatchObject([{ reason: nobodyWaits }, { reason: brokeOff }]);
    await objects.put("c", large());
    await expect(objects.put("c", large(), { ifAbsent: true })).rejects.toMatchObject({
      code: "object_exists",
    });
    expect(await gateway.unfinished()).toEqual([]);
    expect((await objects.list("")).objects.map(({ key }) => key)).toEqual(["c"]);
  });

  test("says that storage is away when the server dies, and goes well once it is back", async () => {
    await objects.put("before", Buffer.from("kept"));

    await expect(
      objects.put(
        "a",
        large(() => gateway.kill()),
      ),
    ).rejects.toMatchObject({
      code: "storage_unavailable",
      retryable: true,
      reason: null,
    });
    await expect(objects.find("before")).rejects.toMatchObject({ code: "storage_unavailable" });
    const found = openObjects(gateway.newPlace());
    await expect(found).resolves.toBeDefined();
    await gateway.restart();
    expect(await objects.find("a")).toBeNull();
    expect(await textOf("before")).toBe("kept");
    await objects.put("a", large());
    expect(await objects.find("a")).toEqual({ key: "a", sizeBytes: LARGE_MEBIBYTES * MEBIBYTE });
  });

  test("is swept a day after whoever began it died", async () => {
    const place = gateway.newPlace();
    await expect(
      (await openObjects(place)).put(
        "a",
        large(() => gateway.kill()),
      ),
    ).rejects.toMatchObject({ code: "storage_unavailable" });
    await gateway.restart();
    await openObjects(place);
    const left = await gateway.unfinished();
    const longAgo = Date.now() / 1_000 - 25 * 3_600;
    for (const folder of left) await utimes(folder, longAgo, longAgo);
    await openObjects(place);

    expect(left.length).toBeGreaterThan(0);
    expect((await gateway.unfinished()).length).toBeLessThan(left.length);
  });

  test("is left at once by a signal, while the server is silent", { timeout: 20_000 }, async () => {
    const abort = new AbortController();
    const reason = new Error("nobody waits");
    const put = objects.put(
      "a",
      large(() => {
        gateway.pause();
        setTimeout(() => abort.abort(reason), 100);
      }),
      { signal: abort.signal },
    );
    const startedAt = performance.now();
    await expect(put).rejects.toBe(reason);

    expect(performance.now() - startedAt).toBeLessThan(PROMPT_MS);
  });
});

describe("an answer that is lost", () => {
  test.for([false, true])("costs nothing, where it must be the first: %s", async (ifAbsent) => {
    const dropped = proxy.dropped;
    proxy.dropReplies(1, "PUT ");
    const small = await objects.put("small", Buffer.from("stored"), { ifAbsent });
    const whole = await objects.put(
      "large",
      large(() => proxy.dropReplies(1, "POST ")),
      { ifAbsent },
    );

    expect(proxy.dropped - dropped).toBe(2);
    expect(small.sizeBytes).toBe(6);
    expect(whole.sizeBytes).toBe(LARGE_MEBIBYTES * MEBIBYTE);
    expect(await textOf("small")).toBe("stored");
    expect((await textOf("large")).length).toBe(whole.sizeBytes);
  });
});

describe("a download", () => {
  test("goes on where its connection broke", async () => {
    const { sizeBytes } = await objects.put("a", large());
    const whole = await textOf("a");
    const { body } = await objects.read("a");
    let text = "";
    let cuts = 0;
    for await (const chunk of body) {
      text += Buffer.from(chunk).toString();
      if (text.length > (cuts + 1) * 3 * MEBIBYTE) {
        cuts += 1;
        proxy.reset();
      }
    }

    expect(cuts).toBeGreaterThan(3);
    expect(text.length).toBe(sizeBytes);
    expect(text === whole).toBe(true);
  });

  test("ends when the connection breaks again and again", async () => {
    await objects.put("a", large());
    const { body } = await objects.read("a");
    proxy.cutAfter(700);
    const reading = async (): Promise<void> => {
      for await (const chunk of body) expect(chunk.length).toBeGreaterThan(0);
    };

    await expect(reading()).rejects.toMatchObject({ code: "storage_unavailable" });
  });

  test("does not mix an object with the one that takes its place", async () => {
    await objects.put("a", large());
    const { body } = await objects.read("a");
    const reading = async (): Promise<void> => {
      for await (const chunk of body) {
        expect(chunk.length).toBeGreaterThan(0);
        await objects.put("a", Buffer.alloc(LARGE_MEBIBYTES * MEBIBYTE, "x"));
        proxy.reset();
        await delay(10);
      }
    };

    await expect(reading()).rejects.toMatchObject({ code: "storage_unavailable" });
  });
});

describe("a bucket that cannot be used", () => {
  test("is told of at once, with what to do", async () => {
    await expect(openObjects(gateway.newPlace({ bucket: "elsewhere" }))).rejects.toMatchObject({
      code: "storage_unavailable",
      message: expect.stringContaining("no such bucket: make it"),
    });
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "another");
    await expect(openObjects(gateway.newPlace())).rejects.toMatchObject({
      code: "storage_unavailable",
      message: expect.stringMatching(/access is denied: allow|secret is wrong/),
    });
    vi.stubEnv("AWS_ACCESS_KEY_ID", undefined);
    await expect(openObjects(gateway.newPlace())).rejects.toMatchObject({
      code: "storage_unavailable",
      message: expect.stringContaining("there are no credentials: set AWS_ACCESS_KEY_ID"),
    });
  });

  test("is not taken for one without objects when it goes", async () => {
    await gateway.makeBucket("passing");
    const passing = await openObjects(gateway.newPlace({ bucket: "passing" }));
    await passing.put("a", Buffer.from("x"));
    await gateway.removeBucket("passing");

    const calls: (() => Promise<unknown>)[] = [
      () => passing.find("a"),
      () => passing.read("a"),
      () => passing.list(""),
      () => passing.delete("a"),
      () => passing.put("a", Buffer.from("x")),
      () => passing.put("a", large()),
      () => passing.check(),
    ];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({
        code: "storage_unavailable",
        message: expect.stringContaining("no such bucket"),
      });
    }
  });
});

test("a signed URL gives the object to whoever has it, and only that", async () => {
  await objects.put("a", Buffer.from("signed"));
  await objects.put("b", Buffer.from("other"));
  const url = await objects.sign("a", { lifetimeSeconds: 60 });
  const other = new URL(url ?? "");
  other.pathname = other.pathname.replace(/a$/, "b");

  expect(await (await fetch(url ?? "")).text()).toBe("signed");
  expect((await fetch(other)).status).toBe(403);
});
