import { PlatformError } from "@headrace/contract";

/** Requests nest to about ten; each level costs whoever walks the value a stack frame. */
const DEPTH_LIMIT = 64;
/** Messages of the most parts make 57,000; each costs whoever builds or walks the value 1 to 2 µs. */
const SIZE_LIMIT = 100_000;
/** The one name that means something else than a field to JavaScript. */
const FORBIDDEN_KEY = "__proto__";
/** Any of its characters may be written as an escape of this form. */
const ESCAPE = "\\u00";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Refuse JSON that nests deeper than 64 levels, or holds over 100,000 fields, lists and objects,
 * before anything is built from it.
 *
 * @throws PlatformError `request_invalid` naming the body's field at fault
 */
export function assertBounded(json: Buffer): void {
  let depth = 0;
  let size = 0;
  let nameFrom = 0;
  let nameTo = 0;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === QUOTE) {
      const end = endOfString(json, at + 1);
      if (depth === 1) {
        nameFrom = at + 1;
        nameTo = end;
      }
      at = end;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth += 1;
      size += 1;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
    } else if (byte === COLON) {
      size += 1;
    }
    if (depth > DEPTH_LIMIT || size > SIZE_LIMIT) {
      // One field more of the body itself is nothing to name.
      const name = depth > 1 ? json.toString("utf8", nameFrom, nameTo) : "";
      throw outOfBounds(name, depth > DEPTH_LIMIT ? TOO_DEEP : TOO_LARGE);
    }
  }
}

/** Find where a string's closing quote is: the first that an even number of backslashes precede. */
function endOfString(json: Buffer, from: number): number {
  let end = json.indexOf(QUOTE, from);
  while (end !== -1) {
    let before = end - 1;
    while (before >= from && json[before] === BACKSLASH) before -= 1;
    if ((end - 1 - before) % 2 === 0) return end;
    end = json.indexOf(QUOTE, end + 1);
  }
  return json.length;
}

/** Names of our fields are short: anything longer is not worth quoting. */
const LONGEST_NAME = 64;

const TOO_DEEP = `nests deeper than ${DEPTH_LIMIT} levels`;
const TOO_LARGE = `holds over ${SIZE_LIMIT} fields, lists and objects`;

function outOfBounds(name: string, fault: string): PlatformError {
  const isName = name !== "" && name.length <= LONGEST_NAME;
  const message = `${isName ? name : "the body"} ${fault}`;
  return new PlatformError("request_invalid", message, isName ? { param: name } : {});
}

/**
 * Find a field named `__proto__` in a parsed body.
 *
 * The value is only searched when the text can hold such a name at all.
 *
 * @returns the field's path, or null
 */
export function findForbiddenKey(json: Buffer, value: unknown): string | null {
  return json.includes(FORBIDDEN_KEY) || json.includes(ESCAPE) ? search(value, "") : null;
}

function search(value: unknown, path: string): string | null {
  if (typeof value !== "object" || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    const place = Array.isArray(value) ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`;
    if (key === FORBIDDEN_KEY) return place;
    const found = search(inner, place);
    if (found !== null) return found;
  }
  return null;
}
