import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";

import { CREDENTIALS, VersityGateway } from "./versity-gateway.ts";

const PROGRAM = fileURLToPath(new URL("transfer.ts", import.meta.url));
const SIZE_BYTES = 200_000_000;
/** Two parts are 10 MiB; the rest is what the garbage collector leaves lying. 400 MB take no more. */
const GROWTH_BYTES = 80 * 1_048_576;

const transferSchema = z.object({
  isSame: z.boolean(),
  sizeBytes: z.int(),
  grownBytes: z.int(),
});

let folder: string;
let gateway: VersityGateway;

beforeAll(async () => {
  for (const [name, value] of Object.entries(CREDENTIALS)) vi.stubEnv(name, value);
  folder = await mkdtemp(join(tmpdir(), "headrace-objects-"));
  gateway = await VersityGateway.start();
});
afterAll(async () => {
  await gateway.stop();
  await rm(folder, { recursive: true, force: true });
});

describe("200 MB", () => {
  test.for([
    ["a folder", () => pathToFileURL(folder).href],
    ["S3", () => gateway.newPlace()],
  ] as const)("go to %s and back in flat memory", async ([, place]) => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      PROGRAM,
      place(),
      String(SIZE_BYTES),
    ]);
    const transfer = transferSchema.parse(JSON.parse(stdout));

    expect(transfer).toMatchObject({ isSame: true, sizeBytes: SIZE_BYTES });
    expect(transfer.grownBytes).toBeLessThan(GROWTH_BYTES);
  });
});
