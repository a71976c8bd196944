import { setTimeout as delay } from "node:timers/promises";

import type { ManagedProcess } from "@headrace/testkit/instruments";

/** How long a place stays empty before whoever watches over processes fills it again. */
const VACANCY_MS = 300;
const LOOK_MS = 20;

/**
 * Like processes that do the same work, and those who kill, pause and stop them. Whoever ends is
 * started again. A fault waits until another than its victim is there to take over.
 */
export class Crew {
  readonly #members: readonly ManagedProcess[];
  /** Members that are down or paused, and what brings them back. */
  readonly #away = new Map<ManagedProcess, Promise<void>>();

  constructor(members: readonly ManagedProcess[]) {
    this.#members = members;
  }

  /** Kill one; another takes its place. */
  async kill(rank: number): Promise<void> {
    await this.killMember(await this.#pick(rank));
  }

  /** Kill this one, and nobody else; another takes its place. */
  async killMember(victim: ManagedProcess): Promise<void> {
    await victim.kill();
    this.#send(victim, replace(victim));
  }

  /** Pause one for a while. Resolves at once. */
  async pause(rank: number, ms: number): Promise<void> {
    const victim = await this.#pick(rank);
    victim.pause();
    this.#send(
      victim,
      delay(ms).then(() => victim.resume()),
    );
  }

  /** Tell one to stop; another takes its place. @returns its exit code, null when it was killed */
  async stop(rank: number): Promise<number | null> {
    const victim = await this.#pick(rank);
    const stopping = victim.stop();
    this.#send(
      victim,
      stopping.then(() => replace(victim)),
    );
    return stopping;
  }

  /** Wait until all are back. */
  async settle(): Promise<void> {
    await Promise.all(this.#away.values());
  }

  async #pick(rank: number): Promise<ManagedProcess> {
    while (this.#present.length < 2) await delay(LOOK_MS);
    const present = this.#present;
    const victim = present[rank % present.length];
    if (victim === undefined) throw new RangeError("there is nobody to strike");
    return victim;
  }

  get #present(): ManagedProcess[] {
    return this.#members.filter((member) => !this.#away.has(member));
  }

  #send(member: ManagedProcess, back: Promise<void>): void {
    const away = back.finally(() => this.#away.delete(member));
    // Awaited by `settle`, which comes later than a failure may.
    away.catch(() => {});
    this.#away.set(member, away);
  }
}

async function replace(member: ManagedProcess): Promise<void> {
  await delay(VACANCY_MS);
  member.restart();
  await member.whenReady("/readyz");
}
