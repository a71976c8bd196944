// @ts-check
import { randomUUID } from "node:crypto";
import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { isSystemError } from "./failure.js";

/** How often the holder shows that it lives. */
const BEAT_MS = 2_000;

/** Silence after which a holder counts as gone; many beats, so that a busy disk steals no lock. */
const STALE_MS = 30_000;

/** How often a waiter looks again. */
const LOOK_MS = 100;

/**
 * Do `work` while no other process holds the lock at `path`.
 *
 * A lock whose holder died is taken over. Two waiters that do so in the same instant may both go on:
 * the work must bear that (ours does twice what is put in place by one rename).
 *
 * @template Result
 * @param {string} path
 * @param {{ signal: AbortSignal, onWait: () => void }} options `onWait` is called once, when the
 *   lock is not to be had at once
 * @param {() => Promise<Result>} work
 * @returns {Promise<Result>}
 */
export async function withLock(path, { signal, onWait }, work) {
  const claim = `${hostname()} ${process.pid} ${randomUUID()}`;
  for (let isFirst = true; !take(path, claim); isFirst = false) {
    if (isStale(path)) {
      breakLock(path);
    } else {
      if (isFirst) onWait();
      await sleep(LOOK_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  const beat = setInterval(() => touch(path), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    if (read(path) === claim) rmSync(path, { force: true });
  }
}

/**
 * @param {string} path
 * @param {string} claim
 * @returns {boolean}
 */
function take(path, claim) {
  try {
    writeFileSync(path, claim, { flag: "wx" });
    return true;
  } catch (error) {
    if (isSystemError(error) && error.code === "EEXIST") return false;
    // A full disk has room for the file's name but not for what it should hold.
    if (isSystemError(error) && error.code === "ENOSPC") rmSync(path, { force: true });
    throw error;
  }
}

/**
 * @param {string} path
 * @returns {boolean}
 */
function isStale(path) {
  const [host, pid] = read(path).split(" ");
  if (host === hostname() && !isAlive(Number(pid))) return true;
  const changedAt = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
  return Date.now() - changedAt > STALE_MS;
}

/**
 * @param {number} pid
 * @returns {boolean}
 */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isSystemError(error) && error.code === "EPERM";
  }
}

/** @param {string} path */
function breakLock(path) {
  const away = `${path}.${randomUUID()}`;
  try {
    renameSync(path, away);
  } catch (error) {
    if (isSystemError(error) && error.code === "ENOENT") return;
    throw error;
  }
  rmSync(away, { force: true });
}

/** @param {string} path */
function touch(path) {
  try {
    utimesSync(path, new Date(), new Date());
  } catch (error) {
    if (!isSystemError(error) || error.code !== "ENOENT") throw error;
  }
}

/**
 * @param {string} path
 * @returns {string} empty when there is none
 */
function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isSystemError(error) && error.code === "ENOENT") return "";
    throw error;
  }
}
