import { PlatformError } from "@headrace/contract";

const FULL: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"]);
const MISSING: ReadonlySet<unknown> = new Set(["ENOENT", "ENOTDIR"]);

/** Wait for the file system, and say what its failures mean. @throws PlatformError `storage_unavailable`, `storage_full` */
export async function guard<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    throw explain(error);
  }
}

/** Say what a failure of the file system means; anything else is left as it is. */
export function explain(cause: unknown): unknown {
  const code = codeOf(cause);
  if (cause instanceof PlatformError || code === null) return cause;
  if (FULL.has(code)) return new PlatformError("storage_full", "storage has no room", { cause });
  return new PlatformError("storage_unavailable", `storage cannot be used (${code})`, { cause });
}

/** Take it that nothing is there, also where what should be a folder on the way is a file. */
export function nullWhereMissing(error: unknown): null {
  if (MISSING.has(codeOf(error))) return null;
  throw error;
}

/** The system's word for what failed, or null. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : null;
}
