import { join } from "node:path";

import { CommandFailure, tellsOfFullDisk } from "../failure.ts";
import type { RunRecord } from "../run-record.ts";
import { layOut, type LayoutOptions, type Placed } from "./layout.ts";
import { LogFile } from "./log-file.ts";
import { findEngineProbe, type EngineProbe } from "./log-line.ts";
import { Part } from "./part.ts";

/** How long the worker's word on its engine may be on its way, ms. */
const PROBE_MS = 5_000;
/** A full disk is told of once in this time, ms. */
const TELL_AGAIN_MS = 60_000;

/** Told what happens while the platform starts and runs. */
export interface PlatformReport {
  /** A part is ready, at an address. */
  readonly onReady: (name: string, where: string) => void;
  /** Something went wrong that the platform goes on from. */
  readonly onTrouble: (text: string) => void;
  /** A line of a part's log; null when logs go to files. */
  readonly onLine: ((name: string, line: string) => void) | null;
}

export interface PlatformOptions extends LayoutOptions {
  readonly run: RunRecord;
  readonly report: PlatformReport;
}

/** All processes of Headrace on one machine: started in order, kept running, stopped in order. */
export class Platform {
  readonly #options: PlatformOptions;
  readonly #failure = new AbortController();
  readonly #probe = Promise.withResolvers<EngineProbe>();
  /** In the order in which they are stopped; those of one group at a time. */
  #groups: readonly (readonly Part[])[] = [];
  #fullDiskToldAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PlatformOptions) {
    this.#options = options;
  }

  /** Aborted, with a `CommandFailure` as its reason, when a part cannot be kept running. */
  get failure(): AbortSignal {
    return this.#failure.signal;
  }

  /**
   * Start everything, and resolve to where the API serves.
   *
   * @throws CommandFailure saying what cannot be had. What was started by then is still to be
   *   stopped.
   */
  async start(signal: AbortSignal): Promise<string> {
    const layout = await layOut(this.#options);
    const toParts = (placed: readonly Placed[]): Part[] => placed.map((one) => this.#toPart(one));
    const redis = toParts(layout.redis);
    const engine = toParts(layout.engine);
    const workers = toParts(layout.workers);
    const ingress = toParts(layout.ingress);
    const webhooks = toParts(layout.webhooks);
    const batchers = toParts(layout.batchers);
    this.#groups = [[...ingress, ...batchers], workers, [...engine, ...webhooks], redis];

    const startAll = async (parts: readonly Part[]): Promise<unknown> =>
      Promise.all(parts.map(async (part) => part.start(signal)));
    const redisStart = startAll(redis);
    const engineStart = startAll(engine);
    await Promise.all([
      redisStart.then(async () => startAll([...ingress, ...webhooks, ...batchers])),
      Promise.all([redisStart, engineStart]).then(async () => startAll(workers)),
    ]);
    this.#options.run.setUrl(layout.url);
    return layout.url;
  }

  /** What the first worker found out about its engine. */
  async engine(): Promise<EngineProbe> {
    const { promise, reject } = this.#probe;
    const timer = setTimeout(() => reject(new CommandFailure("no engine was found")), PROBE_MS);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Stop everything: what takes jobs in first, what holds them last. */
  async stop(): Promise<void> {
    for (const group of this.#groups) await Promise.all(group.map(async (part) => part.stop()));
  }

  /** End everything at once. */
  kill(): void {
    for (const part of this.#groups.flat()) part.kill();
  }

  #toPart({ plan, where }: Placed): Part {
    const { directory, run, report } = this.#options;
    const { name } = plan;
    const { onLine } = report;
    const log =
      onLine === null
        ? directory.explain(() => new LogFile(join(directory.logsPath, `${name}.log`)))
        : null;
    return new Part(plan, {
      onStart: (pid) => run.addChild(pid),
      onReady: () => report.onReady(name, where),
      onSlow: (why) => report.onTrouble(`${name} is not ready yet${why === "" ? "" : `: ${why}`}`),
      onLine: (line) => {
        log?.write(line);
        onLine?.(name, line);
        this.#read(name, line);
      },
      onRestart: (how) => report.onTrouble(`${name} ${how} and is started again`),
      onFailure: (failure) => this.#failure.abort(failure),
    });
  }

  #read(name: string, line: string): void {
    const probe = findEngineProbe(line);
    if (probe !== null) this.#probe.resolve(probe);
    if (!tellsOfFullDisk(line)) return;
    const now = performance.now();
    if (now - this.#fullDiskToldAtMs < TELL_AGAIN_MS) return;
    this.#fullDiskToldAtMs = now;
    const { path } = this.#options.directory;
    this.#options.report.onTrouble(
      `the disk that holds ${path} is full (${name} says so): nothing is accepted until there is space`,
    );
  }
}
