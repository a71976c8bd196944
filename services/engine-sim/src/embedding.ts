/** Length of an embedding when the request names none. */
export const EMBEDDING_DIMENSIONS = 384;

/**
 * Compute the unit vector of a text in ids.
 *
 * Deterministic, and near for texts that share tokens: the normalised sum of one pseudo-random
 * direction per token. Costs tokens × dimensions.
 */
export function embed(ids: readonly number[], dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  for (const id of ids) {
    for (let index = 0; index < dimensions; index++) {
      vector[index] = (vector[index] ?? 0) + component(id, index);
    }
  }
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

/** Write a vector as little-endian 32-bit floats in base64, OpenAI's compact form. */
export function toBase64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * Float32Array.BYTES_PER_ELEMENT);
  for (const [index, value] of vector.entries()) {
    bytes.writeFloatLE(value, index * Float32Array.BYTES_PER_ELEMENT);
  }
  return bytes.toString("base64");
}

/** A number from -1 to 1 that depends on its arguments alone. */
function component(id: number, index: number): number {
  let bits = Math.imul(id + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 15), 0xc2b2ae35);
  bits = Math.imul(bits ^ (bits >>> 13), 0x27d4eb2f);
  return (bits ^ (bits >>> 16)) / 2 ** 31;
}
