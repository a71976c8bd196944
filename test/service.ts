import { fileURLToPath } from "node:url";

import { ManagedProcess } from "@headrace/testkit/instruments";

/** How to start a service. */
export interface ServiceOptions {
  /** Its folder in `services/`. */
  readonly name: string;
  /** Where it will listen. */
  readonly url: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Folder for its CPU profile, written when it ends; null for none. */
  readonly profile?: string | null;
}

/** Start one of the platform's processes, as it really runs. */
export function startService(options: ServiceOptions): ManagedProcess {
  const { name, url, environment = {}, flags = [], profile = null } = options;
  const program = fileURLToPath(new URL(`../services/${name}/src/main.ts`, import.meta.url));
  const profiling = profile === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}/${name}`];
  return new ManagedProcess({ name, url, args: [...profiling, program, ...flags], environment });
}
