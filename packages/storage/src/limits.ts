/** Most objects in one answer: what S3 lists at once. */
const MOST_LISTED = 1_000;
const LONGEST_LIFETIME_SECONDS = 7 * 24 * 3_600;

/** How many objects to list. @throws RangeError */
export function listLimit(limit: number = MOST_LISTED): number {
  return assertWhole(limit, { name: "limit", most: MOST_LISTED });
}

/** How long a signed URL may be used. S3 takes no more than seven days. @throws RangeError */
export function signedSeconds(lifetimeSeconds: number): number {
  return assertWhole(lifetimeSeconds, { name: "lifetimeSeconds", most: LONGEST_LIFETIME_SECONDS });
}

/** Check a range, both of whose ends are included. @throws RangeError */
export function assertRange(range?: { readonly start: number; readonly end?: number }): void {
  if (range === undefined) return;
  const { start, end = Number.MAX_SAFE_INTEGER } = range;
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start)
    return;
  throw new RangeError(`range: expected 0 <= start <= end, got ${start} and ${end}`);
}

function assertWhole(value: number, { name, most }: { name: string; most: number }): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new RangeError(`${name}: expected a whole number from 1 to ${most}, got ${value}`);
}
