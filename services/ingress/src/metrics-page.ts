/** A peer that does not answer within this time is left out, ms. */
const PEER_MS = 1_000;

/** The series of one metric, and what introduces them. */
interface Family {
  readonly head: string[];
  readonly samples: string[];
}

/**
 * Merge several processes' metrics into one valid page: each family's `HELP` and `TYPE` once, with
 * all its samples behind.
 *
 * A peer's samples carry its address as `instance`, since two processes may have the same series.
 */
export async function mergedMetrics(own: string, peers: readonly string[]): Promise<string> {
  const pages = await Promise.all(peers.map(readPeer));
  const families = new Map<string, Family>();
  addPage(families, own, (sample) => sample);
  pages.forEach((page, at) => {
    const instance = new URL(peers[at] ?? "").host;
    addPage(families, page, (sample) => withInstance(sample, instance));
  });
  return [...families.values()]
    .map(({ head, samples }) => `${[...head, ...samples].join("\n")}\n`)
    .join("");
}

async function readPeer(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PEER_MS) });
    const text = await response.text();
    return response.ok ? text : "";
  } catch {
    // Its own absence from the page is what tells that it is down.
    return "";
  }
}

function addPage(
  families: Map<string, Family>,
  page: string,
  label: (sample: string) => string,
): void {
  let current: Family | null = null;
  let name = "";
  let isFirst = true;
  for (const line of page.split("\n")) {
    if (line.trim() === "") continue;
    const comment = /^# (?:HELP|TYPE) (\S+)/.exec(line);
    const sampleName = /^[\w:]+/.exec(line)?.[0] ?? "";
    const family = comment?.[1] ?? (belongs(sampleName, name) ? name : sampleName);
    if (comment === null && line.startsWith("#")) continue;
    if (current === null || family !== name) {
      isFirst = !families.has(family);
      current = families.get(family) ?? { head: [], samples: [] };
      families.set(family, current);
      name = family;
    }
    if (comment === null) current.samples.push(label(line));
    else if (isFirst) current.head.push(line);
  }
}

/** Histograms and summaries spread over names that extend their family's. */
function belongs(sample: string, family: string): boolean {
  return (
    sample === family ||
    (sample.startsWith(family) &&
      /^_(bucket|sum|count|total|created)$/.test(sample.slice(family.length)))
  );
}

function withInstance(sample: string, instance: string): string {
  const name = /^[\w:]+/.exec(sample)?.[0] ?? "";
  const rest = sample.slice(name.length);
  if (!rest.startsWith("{")) return `${name}{instance="${instance}"}${rest}`;
  if (/[{,]instance="/.test(rest)) return sample;
  return `${name}{instance="${instance}"${rest.startsWith("{}") ? "" : ","}${rest.slice(1)}`;
}
