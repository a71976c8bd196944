import { InFlightWindow } from "@headrace/engine";
import { describe, expect, test } from "vitest";

import { SlotBoard } from "./slot-board.ts";

const never = new AbortController().signal;

describe("SlotBoard", () => {
  test("offers what is left of the window", async () => {
    const board = new SlotBoard(new InFlightWindow({ maxSize: 4, initialSize: 4 }));
    board.take();

    expect(await board.whenFree(never)).toBe(3);
  });

  test("waits while the window is full, until a slot is freed", async () => {
    const board = new SlotBoard(new InFlightWindow({ maxSize: 1 }));
    board.take();
    const waiting = board.whenFree(never);

    board.free();

    expect(await waiting).toBe(1);
  });

  test("offers nothing while the engine is to be left alone", async () => {
    const window = new InFlightWindow({ maxSize: 4, initialSize: 4 });
    const board = new SlotBoard(window);
    window.onFull(performance.now(), 50);

    await board.whenFree(never);

    expect(performance.now()).toBeGreaterThanOrEqual(window.pausedUntilMs);
  });

  test("counts what is free now, nothing while the engine is to be left alone", () => {
    const window = new InFlightWindow({ maxSize: 4, initialSize: 4 });
    const board = new SlotBoard(window);
    board.take();
    const before = board.countFree();

    window.onFull(performance.now(), 5_000);

    expect([before, board.countFree()]).toEqual([3, 0]);
  });

  test("keeps every slot for one job that must be alone, once the others have left", async () => {
    const board = new SlotBoard(new InFlightWindow({ maxSize: 4, initialSize: 4 }));
    const told: string[] = [];
    board.take();
    board.take();
    board.reserve();
    const alone = board.whenAlone(never).then(() => told.push("alone"));
    const free = board.whenFree(never).then((count) => told.push(`${count} free`));

    const whileReserved = board.countFree();
    board.free();
    await alone;
    board.endReservation();
    board.free();
    await free;

    expect(whileReserved).toBe(0);
    expect(told).toEqual(["alone", "3 free"]);
  });

  test("lets a job that is stopped wait no more for the others to leave", async () => {
    const board = new SlotBoard(new InFlightWindow({ maxSize: 4, initialSize: 4 }));
    const stopped = new AbortController();
    board.take();
    board.take();
    board.reserve();

    const alone = board.whenAlone(stopped.signal);
    stopped.abort();

    await expect(alone).resolves.toBeUndefined();
  });

  test("stops waiting when the worker stops", async () => {
    const board = new SlotBoard(new InFlightWindow({ maxSize: 1 }));
    board.take();
    const controller = new AbortController();
    const waiting = board.whenFree(controller.signal);

    controller.abort();

    expect(await waiting).toBe(0);
  });
});
