/** What S3 takes as one object. */
export const MOST_PARTS = 10_000;
/** The least that S3 takes as a part other than the last. */
const LEAST_BYTES = 5 * 1_048_576;
const PARTS_OF_A_SIZE = 2_500;

/**
 * How large a part is, by its number from 1 on, in bytes.
 *
 * Each quarter of the parts is twice as large as the one before. So all of them hold 183 GiB, which is more
 * than the largest file that may be uploaded, and two of them, which is what an upload holds in memory, are
 * 10 MiB until an object has 12 GiB, and 80 MiB at most.
 */
export function partBytes(number: number): number {
  return LEAST_BYTES * 2 ** Math.floor((number - 1) / PARTS_OF_A_SIZE);
}
