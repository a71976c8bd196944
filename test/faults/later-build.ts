import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What a job of the later build's own must have in its metadata: see `CHANGES`. */
export const LATER_ONLY = { needs: "later" } as const;
/** How the later build spells the endpoint of such a job, which this build does not know. */
export const LATER_ENDPOINT = "/v2/chat/completions";
/** What the later build adds to JSON that scripts write. */
export const LATER_MARK = '"build":2';

/** A change that a later version may make: one piece of a file's text, and what stands there then. */
interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/**
 * What the later build does otherwise: whatever it writes has more in it than this one knows of, and
 * some jobs are spelled so that this one cannot read them. Every script that writes differs, so that
 * each build sends its own.
 */
const CHANGES: readonly Change[] = [
  {
    file: "packages/contract/src/spec.ts",
    from: "  endpoint: endpointSchema,",
    to: `  tone: z.string().optional(),
  endpoint: z.preprocess(
    (name) => (name === "${LATER_ENDPOINT}" ? "/v1/chat/completions" : name),
    endpointSchema,
  ),`,
  },
  {
    file: "packages/broker/src/submission-desk.ts",
    from: "const spec = writeSpec(asked);",
    to: `const written = writeSpec(asked);
    const spec = {
      ...written,
      head: JSON.stringify({
        ...JSON.parse(written.head),
        tone: "warm",
        ...(asked.metadata.needs === "later" ? { endpoint: "${LATER_ENDPOINT}" } : {}),
      }),
    };`,
  },
  {
    file: "packages/broker/lua/accept.lua",
    from: "redis.call('HSET', entry, 'state', 'queued',",
    to: "redis.call('HSET', entry, 'build', 2, 'state', 'queued',",
  },
  {
    file: "packages/broker/lua/claim.lua",
    from: ".. tostring(shown and not continues) .. '}'",
    to: `.. tostring(shown and not continues) .. ',${LATER_MARK}}'`,
  },
  {
    file: "packages/broker/lua/append.lua",
    from: "call('XADD', log, cursor, type, data)",
    to: "call('XADD', log, cursor, type, data, 'build', '2')",
  },
  {
    file: "packages/broker/lua/append.lua",
    from: "'ids', ids)",
    to: "'ids', ids, 'build', '2')",
  },
  {
    file: "packages/broker/lua/include/end-job.lua",
    from: `'},"attempts":'`,
    to: `'},${LATER_MARK},"attempts":'`,
  },
];

/**
 * Copy this source tree, and make of the copy the build that may come after it.
 *
 * @returns the copy's folder, for whoever starts services; remove it with `removeBuild`
 * @throws Error naming a change for which the source has no place (any more)
 */
export async function makeLaterBuild(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-later-"));
  try {
    for (const floor of ["packages", "services"]) {
      // Links between our packages are relative, and so lead to the copies.
      await cp(join(ROOT, floor), join(folder, floor), { recursive: true, verbatimSymlinks: true });
    }
    await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
    for (const change of CHANGES) await make(change, folder);
    return folder;
  } catch (error) {
    await removeBuild(folder);
    throw error;
  }
}

/** Remove a build that `makeLaterBuild` made. */
export async function removeBuild(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

async function make({ file, from, to }: Change, folder: string): Promise<void> {
  const path = join(folder, file);
  const [before = "", after, ...more] = (await readFile(path, "utf8")).split(from);
  if (after === undefined || more.length > 0) {
    throw new Error(
      `${file}: expected "${from}" once; say in later-build.ts what stands there now`,
    );
  }
  await writeFile(path, before + to + after);
}
