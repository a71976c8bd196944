import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { ManagedProcess } from "@headrace/testkit/instruments";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** How to start a service. */
export interface ServiceOptions {
  /** Its folder in `services/`. */
  readonly name: string;
  /** Where it will listen. */
  readonly url: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** For Node itself. */
  readonly nodeOptions?: readonly string[];
  /** Folder of the source tree it is of; this one if nothing is said. */
  readonly build?: string;
  /** Folder for its CPU profile, written when it ends; null for none. */
  readonly profile?: string | null;
}

/** Start one of the platform's processes, as it really runs. */
export function startService(options: ServiceOptions): ManagedProcess {
  const { name, url, environment = {}, flags = [], profile = null, build = ROOT } = options;
  const { nodeOptions = [] } = options;
  const program = join(build, "services", name, "src/main.ts");
  const profiling = profile === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}/${name}`];
  return new ManagedProcess({
    name,
    url,
    args: [...nodeOptions, ...profiling, program, ...flags],
    environment,
  });
}
