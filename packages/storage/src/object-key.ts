const PART = /^[\w-][\w.-]{0,127}$/;
const LONGEST = 512;

/**
 * Check a key: parts of letters, digits, dots, dashes and underscores, none of which begins with a
 * dot. So none leads out of a folder, and none is one of the store's own. Keys are made by us: another
 * is a bug.
 *
 * @throws RangeError
 */
export function assertKey(key: string): void {
  if (!isKey(key)) throw new RangeError(`no key of an object: ${shown(key)}`);
}

/** Check that keys may begin so; the empty prefix is every key's. @throws RangeError */
export function assertPrefix(prefix: string): void {
  const parts = prefix.split("/");
  const last = parts.pop() ?? "";
  const isFit =
    prefix.length <= LONGEST && parts.every(isKeyPart) && (last === "" || isKeyPart(last));
  if (!isFit) throw new RangeError(`no key of an object begins so: ${shown(prefix)}`);
}

/** Whether an object may have this key. */
export function isKey(text: string): boolean {
  return text.length <= LONGEST && text.split("/").every(isKeyPart);
}

/** Whether a key may have this between two slashes. */
export function isKeyPart(part: string): boolean {
  return PART.test(part);
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, LONGEST));
}
