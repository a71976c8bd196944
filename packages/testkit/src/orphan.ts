import type { ChildProcess } from "node:child_process";

const children = new Set<ChildProcess>();

/** Kill the child when this process ends without having ended it: by then nothing can be awaited. */
export function endWithUs(child: ChildProcess): void {
  if (children.size === 0) process.on("exit", killAll);
  children.add(child);
  child.once("exit", () => {
    children.delete(child);
    if (children.size === 0) process.off("exit", killAll);
  });
}

function killAll(): void {
  for (const child of children) child.kill("SIGKILL");
}
