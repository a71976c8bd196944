const NANOSECONDS_PER_MS = 1_000_000;

/** Tell the time in ms since the machine started: the one clock that its processes share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / NANOSECONDS_PER_MS;
}
