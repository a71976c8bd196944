import { PlatformError } from "@headrace/contract";

/** Part of a file, both ends included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const SINGLE = /^bytes=(\d{0,15})-(\d{0,15})$/;

/**
 * Read a `Range` header (RFC 9110, 14.2). One that is none, or asks for several parts, is as though
 * it were not there: the whole is an answer to it.
 *
 * @throws PlatformError `range_not_satisfiable` when nothing of the file is in it
 */
export function readRange(header: string | undefined, sizeBytes: number): ByteRange | null {
  const [, first = "", last = ""] = SINGLE.exec(header ?? "") ?? [];
  if (first === "" && last === "") return null;
  if (first !== "" && last !== "" && Number(last) < Number(first)) return null;
  const start = first === "" ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === "" || last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (start <= end) return { start, end };
  throw new PlatformError(
    "range_not_satisfiable",
    `the file has ${sizeBytes} bytes; none of them is in the range that was asked for`,
  );
}
