import { hostname } from "node:os";

/** Name this process as people look for it: its host, and its number there. */
export function processName(): string {
  return `${hostname()}-${process.pid}`;
}
