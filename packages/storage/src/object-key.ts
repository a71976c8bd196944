const PART = /^[\w.-]{1,128}$/;
const LONGEST = 512;

/**
 * Check a key: parts of letters, digits, dots, dashes and underscores, none of which begins with a
 * dot. So none leads out of a folder, and none is one of the store's own. Keys are made by us: another
 * is a bug.
 *
 * @throws RangeError
 */
export function assertKey(key: string): void {
  const isFit =
    key.length <= LONGEST && key.split("/").every((part) => PART.test(part) && part[0] !== ".");
  if (!isFit) throw new RangeError(`no key of an object: ${JSON.stringify(key.slice(0, LONGEST))}`);
}
