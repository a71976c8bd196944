import type { Ingress } from "../ingress.ts";

/** Read one series off the service's operations port: a name, with its labels if it has any. */
export async function readMetric(
  { operationsPort }: Pick<Ingress, "operationsPort">,
  series: string,
): Promise<number | undefined> {
  const page = await (await fetch(`http://127.0.0.1:${operationsPort}/metrics`)).text();
  const [name = "", labels = ""] = series.split("{", 2);
  const wanted = labels.replace("}", "").split(",");
  const line = page
    .split("\n")
    .find(
      (text) => /^[\w:]+/.exec(text)?.[0] === name && wanted.every((pair) => text.includes(pair)),
    );
  return line === undefined ? undefined : Number(line.split(" ").at(-1));
}
