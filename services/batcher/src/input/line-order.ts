import type { LineTable } from "./line-table.ts";

const SHIFT = 32n;
const LOW_BITS = 0xffff_ffffn;

/**
 * Order the lines of a file so that those whose prompts begin alike stand together, and an engine
 * finds what it computed for one when it has the next. A group comes where its first line stood, and
 * within it lines keep their order; a file whose prompts have nothing in common stays as it is. Two
 * beginnings that share a digest by chance share a group, and nothing else comes of it.
 *
 * The same file gives the same order, always: a checkpoint is a place in it.
 *
 * @returns the lines, in the order in which they are to be run
 */
export function orderByPrefix(table: LineTable): Uint32Array {
  const inOrder = Uint32Array.from({ length: table.size }, (_, line) => line);
  const byLong = sortBy(inOrder, findFirsts(table.prefixesOf("long")));
  return sortBy(byLong, findFirsts(table.prefixesOf("short")));
}

/** For each line the first one of the same digest. */
function findFirsts(digests: Uint32Array): Uint32Array {
  const firsts = new Uint32Array(digests.length);
  let first = 0;
  const sorted = toSorted(digests.length, (line) => digests[line] ?? 0);
  for (const [i, pair] of sorted.entries()) {
    const line = Number(pair & LOW_BITS);
    const before = sorted[i - 1];
    if (before === undefined || before >> SHIFT !== pair >> SHIFT) first = line;
    firsts[line] = first;
  }
  return firsts;
}

/** Sort lines by their ranks; those of one rank stay in the order in which they stand. */
function sortBy(lines: Uint32Array, ranks: Uint32Array): Uint32Array {
  const sorted = toSorted(lines.length, (at) => ranks[lines[at] ?? 0] ?? 0);
  return Uint32Array.from(sorted, (pair) => lines[Number(pair & LOW_BITS)] ?? 0);
}

/** Pairs of a rank and a place, packed into 64 bits, which a typed array sorts without a callback. */
function toSorted(size: number, rankAt: (place: number) => number): BigUint64Array {
  const pairs = new BigUint64Array(size);
  for (let place = 0; place < size; place += 1) {
    pairs[place] = (BigInt(rankAt(place)) << SHIFT) | BigInt(place);
  }
  return pairs.toSorted();
}
