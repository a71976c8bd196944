// @ts-check

/**
 * Say what is being done while it is done, and how long it took: `Installing packages … 4.2 s`.
 *
 * Goes to the error output, so that what a command prints can be piped.
 *
 * @template Result
 * @param {string} what
 * @param {() => Promise<Result>} work
 * @returns {Promise<Result>}
 */
export async function step(what, work) {
  const startedAt = performance.now();
  process.stderr.write(`${what} …`);
  try {
    const result = await work();
    process.stderr.write(` ${secondsSince(startedAt)} s\n`);
    return result;
  } catch (error) {
    process.stderr.write(" failed\n");
    throw error;
  }
}

/**
 * @param {number} startedAt ms of `performance.now()`
 * @returns {string} seconds, one decimal
 */
export function secondsSince(startedAt) {
  return ((performance.now() - startedAt) / 1_000).toFixed(1);
}
