/** Find the middle of the values; of an even count the mean of the two. @returns NaN for none */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = Math.floor(sorted.length / 2);
  return (
    ((sorted[sorted.length % 2 === 0 ? upper - 1 : upper] ?? NaN) + (sorted[upper] ?? NaN)) / 2
  );
}

/** Find the least value that this share of the values does not exceed. @returns NaN for none */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
