import { InFlightWindow } from "@headrace/engine";
import { describe, expect, test } from "vitest";

import { BatchRoom, type Stay } from "./batch-room.ts";
import { SlotBoard } from "./slot-board.ts";

const never = new AbortController().signal;

/** A room beside a board with so many slots, and ways to have jobs come. */
class Worker {
  readonly board: SlotBoard;
  readonly room: BatchRoom;

  constructor(slots: number) {
    this.board = new SlotBoard(new InFlightWindow({ maxSize: slots, initialSize: slots }));
    this.room = new BatchRoom(this.board);
  }

  start(isBatch: boolean, promptTokens = 100): Stay {
    this.board.take();
    return this.room.enter({ isBatch, promptTokens });
  }

  end(stay: Stay): void {
    this.board.free();
    stay.leave();
  }
}

describe("room for batch work", () => {
  test("ends beside others where more jobs would make steps longer", () => {
    const worker = new Worker(256);
    worker.start(false).begin();
    for (let count = 0; count < 31; count += 1) worker.start(true).begin();

    const atLimit = worker.room.countFree();
    worker.room.onLook();
    for (let look = 0; look < 7; look += 1) {
      worker.room.countFree();
      worker.room.onLook();
    }

    // No step could be measured: it has paused once, and gone on.
    expect([atLimit, worker.room.countFree()]).toEqual([0, 1]);
  });

  test("is all slots but one in sixteen while nobody else is there", () => {
    expect(new Worker(32).room.countFree()).toBe(30);
    expect(new Worker(15).room.countFree()).toBe(15);
    expect(new Worker(1).room.countFree()).toBe(1);
  });

  test("leaves no window, whatever its size, that nobody but it uses and that never grows", () => {
    for (let size = 1; size < 256; size += 1) {
      const window = new InFlightWindow({ maxSize: 256, initialSize: size });
      const board = new SlotBoard(window);
      const room = new BatchRoom(board);
      const free = room.countFree();
      for (let count = 0; count < free; count += 1) board.take();

      window.onLoad({ running: 0, waiting: 0, kvCacheUsage: 0 }, board.inFlight, 1_000);

      expect(window.size, `a window of ${size}`).toBeGreaterThan(size);
    }
  });

  test("is none while somebody waits for a first token", () => {
    const worker = new Worker(32);
    const person = worker.start(false);

    const before = worker.room.countFree();
    person.begin();

    expect([before, worker.room.countFree()]).toEqual([0, 1]);
  });

  test("is for one long prompt, or a few short ones, beside others", () => {
    const worker = new Worker(32);
    worker.start(false).begin();

    const short = worker.start(true, 50);
    const afterShort = worker.room.countFree();
    const long = worker.start(true, 1_000);
    const afterLong = worker.room.countFree();
    long.begin();
    short.begin();

    expect([afterShort, afterLong, worker.room.countFree()]).toEqual([1, 0, 1]);
  });

  test("does not count a first token twice, nor wait for one that never comes", () => {
    const worker = new Worker(32);
    const person = worker.start(false);
    person.begin();
    person.begin();
    worker.end(person);
    worker.end(worker.start(false));
    worker.start(true, 1_000).leave();

    expect(worker.room.countFree()).toBe(1);
  });

  test("keeps a slot for others, however much batch work there is", () => {
    const worker = new Worker(16);
    for (let count = 0; count < 15; count += 1) worker.start(true).begin();

    expect(worker.room.countFree()).toBe(0);
    expect(worker.board.countFree()).toBe(1);
  });

  test("is told of when a first token comes", async () => {
    const worker = new Worker(32);
    const person = worker.start(false);
    const waiting = worker.room.whenFree(never);

    person.begin();

    await expect(waiting).resolves.toBeUndefined();
  });

  test("is waited for no longer than the signal allows", async () => {
    const worker = new Worker(32);
    worker.start(false);
    const controller = new AbortController();
    const waiting = worker.room.whenFree(controller.signal);

    controller.abort();

    await expect(waiting).resolves.toBeUndefined();
  });
});
