import { readFileSync } from "node:fs";

/** Linux tells CPU times in hundredths of a second, whatever the kernel's own clock (proc(5)). */
const TICK_MS = 10;
/** Fields 14 and 15 of the line; those after the command's name are counted from 3. */
const USER_TIME = 14 - 3;
const SYSTEM_TIME = 15 - 3;
const KIBIBYTE = 1_024;

/** Tell how much CPU time a process has used, all of its threads, in ms to the nearest 10. */
export function readCpuMs(pid: number): number {
  const line = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The command's name may hold anything, spaces and brackets included.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[USER_TIME]) + Number(fields[SYSTEM_TIME])) * TICK_MS;
}

/** Tell the largest resident set that a process has had, in bytes. */
export function readPeakRssBytes(pid: number): number {
  return readStatusBytes(pid, "VmHWM");
}

/** Tell a process' resident set, in bytes. */
export function readRssBytes(pid: number): number {
  return readStatusBytes(pid, "VmRSS");
}

function readStatusBytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [, kibibytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status) ?? [];
  return Number(kibibytes) * KIBIBYTE;
}
