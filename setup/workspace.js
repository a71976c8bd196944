// @ts-check
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * List the folders of the workspace's packages, the root aside, as `pnpm-workspace.yaml` names them.
 *
 * @param {string} root
 * @returns {string[]} relative to the root, sorted
 */
export function findPackageFolders(root) {
  const text = readFileSync(join(root, "pnpm-workspace.yaml"), "utf8");
  return readPackagePatterns(text)
    .flatMap((pattern) => expand(root, pattern))
    .filter((folder) => existsSync(join(root, folder, "package.json")))
    .toSorted();
}

/**
 * Read the `packages:` list. Only the two forms that we use are understood: `folder` and `folder/*`.
 *
 * @param {string} text of `pnpm-workspace.yaml`
 * @returns {string[]}
 */
export function readPackagePatterns(text) {
  const list = /^packages:\n(?<items>(?:[ \t]+-.*\n?|[ \t]*#.*\n?|\n)+)/m.exec(text)?.groups?.[
    "items"
  ];
  return [...(list ?? "").matchAll(/^\s+-\s+["']?([^"'\s#]+)/gm)].map(
    ([, pattern = ""]) => pattern,
  );
}

/**
 * @param {string} root
 * @param {string} pattern
 * @returns {string[]}
 */
function expand(root, pattern) {
  if (!pattern.endsWith("/*")) return [pattern];
  const parent = pattern.slice(0, -2);
  if (!existsSync(join(root, parent))) return [];
  return readdirSync(join(root, parent), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${parent}/${entry.name}`);
}
