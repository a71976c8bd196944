import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { readEnvironment } from "@headrace/runtime";
import { findFreePort, ManagedProcess } from "@headrace/testkit/instruments";
import { z } from "zod";

const BUCKET = "headrace";
const HEALTH = "/healthz";
/** Where it keeps what is not whole yet, below its bucket. */
const UNFINISHED = ".sgwtmp/multipart";

/** What the gateway knows its one user by. */
export const CREDENTIALS: Readonly<Record<string, string>> = {
  AWS_ACCESS_KEY_ID: "headrace",
  AWS_SECRET_ACCESS_KEY: "headrace-conformance",
};

const environmentSchema = z.object({
  /** The program's file, which `npm run test:conformance` makes. */
  HEADRACE_VERSITYGW: z.string("run the conformance tests by npm run test:conformance"),
});

/** A real S3 server of a test's own, versitygw, that keeps its objects in a folder. */
export class VersityGateway {
  readonly #folder: string;
  readonly #process: ManagedProcess;

  private constructor(folder: string, process: ManagedProcess) {
    this.#folder = folder;
    this.#process = process;
  }

  /** Start one with a bucket, and wait until it serves. */
  static async start(): Promise<VersityGateway> {
    const program = readEnvironment(environmentSchema).HEADRACE_VERSITYGW;
    const folder = await mkdtemp(join(tmpdir(), "headrace-s3-"));
    await mkdir(join(folder, "objects", BUCKET), { recursive: true });
    const address = `127.0.0.1:${await findFreePort()}`;
    const process = new ManagedProcess({
      name: "versitygw",
      program,
      url: `http://${address}`,
      environment: {
        ROOT_ACCESS_KEY: CREDENTIALS["AWS_ACCESS_KEY_ID"] ?? "",
        ROOT_SECRET_KEY: CREDENTIALS["AWS_SECRET_ACCESS_KEY"] ?? "",
      },
      args: [
        `--port=${address}`,
        `--health=${HEALTH}`,
        "--quiet",
        "posix",
        join(folder, "objects"),
      ],
    });
    const gateway = new VersityGateway(folder, process);
    await process.whenReady(HEALTH);
    return gateway;
  }

  get port(): number {
    return Number(new URL(this.#process.url).port);
  }

  /** Make a bucket, or find it made. */
  async makeBucket(name: string): Promise<void> {
    await mkdir(join(this.#folder, "objects", name), { recursive: true });
  }

  async removeBucket(name: string): Promise<void> {
    await rm(join(this.#folder, "objects", name), { recursive: true });
  }

  /**
   * Say where objects may be kept: another place in the bucket for each that asks.
   *
   * @param options another bucket, or the port of whoever stands before this one
   */
  newPlace({ bucket = BUCKET, port = this.port } = {}): string {
    const endpoint = encodeURIComponent(`http://127.0.0.1:${port}`);
    return `s3://${bucket}/${randomUUID()}?endpoint=${endpoint}&force_path_style=true`;
  }

  /** The folders of uploads of which it has parts. */
  async unfinished(): Promise<readonly string[]> {
    const folder = join(this.#folder, "objects", BUCKET, UNFINISHED);
    const keys = await readdir(folder).catch(() => []);
    const uploads = keys.map(async (key) => {
      const names = await readdir(join(folder, key));
      return names.map((name) => join(folder, key, name));
    });
    return (await Promise.all(uploads)).flat();
  }

  /** End it as a crash would. */
  async kill(): Promise<void> {
    await this.#process.kill();
  }

  /** Leave its connections open, and answer nothing until it is resumed. */
  pause(): void {
    this.#process.pause();
  }

  resume(): void {
    this.#process.resume();
  }

  /** Start it again, with what it has. */
  async restart(): Promise<void> {
    this.#process.restart();
    await this.#process.whenReady(HEALTH);
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
