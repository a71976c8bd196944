// @ts-check
import { SetUpError } from "./failure.js";
import { findSetUpNode } from "./set-up.js";

/** @import { Invocation } from "./launch.js" */

/**
 * Print the path of the Node that runs Headrace here; sets up nothing.
 *
 * @param {Invocation} invocation
 * @returns {Promise<number>}
 */
export async function main({ root }) {
  const node = findSetUpNode(root);
  if (node === null) {
    throw new SetUpError(
      "Headrace is not set up here, or has changed since. `npm start` does it; `npm start -- --help` does only that.",
    );
  }
  process.stdout.write(`${node}\n`);
  return 0;
}
