import type { Finding } from "@headrace/contract";

/** Say that all is as it should be. */
export function ok(check: string, found: string): Finding {
  return { check, level: "ok", found, advice: null };
}

/** Say what works now and will not for long, or not for all, and how to mend it. */
export function warning(check: string, found: string, advice: string): Finding {
  return { check, level: "warning", found, advice };
}

/** Say what does not work, and how to mend it. */
export function fault(check: string, found: string, advice: string): Finding {
  return { check, level: "fault", found, advice };
}

/** Count things: `1 job`, `12 jobs`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

const EXAMPLES = 3;

/** Name the first few of many. */
export function someOf(names: readonly string[]): string {
  const rest = names.length - EXAMPLES;
  return names.slice(0, EXAMPLES).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
