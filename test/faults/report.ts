import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";

import { z } from "zod";

import { toFigures } from "../bench/figure.ts";
import { toTable } from "../bench/report.ts";
import { CITATIONS } from "./citations.ts";
import { FAULT_RUNS } from "./matrix.ts";
import type { FaultRun, RunOutcome } from "./run.ts";

const GIBIBYTE = 2 ** 30;
const DATA_FILE = "fault-matrix.json";
const PAGE_FILE = "fault-matrix.md";

const figureSchema = z.strictObject({
  value: z.number().nullable(),
  unit: z.string(),
  limit: z.strictObject({ value: z.number(), bound: z.enum(["at_most", "at_least"]) }).nullable(),
  ok: z.boolean(),
});

/** A class' latest run at full size. */
const recordSchema = z.strictObject({
  seed: z.int(),
  date: z.string(),
  machine: z.string(),
  seconds: z.number(),
  figures: z.record(z.string(), figureSchema),
});
type Entry = z.infer<typeof recordSchema>;

/** The latest run of each class, by the class' name. */
const matrixSchema = z.record(z.string(), recordSchema);
type Matrix = z.infer<typeof matrixSchema>;

/** What is published of a run. */
export interface Publication {
  readonly faultRun: FaultRun;
  readonly outcome: RunOutcome;
  readonly seed: number;
  readonly seconds: number;
}

/** Write a run's figures for people who watch it. */
export function toText({ name, title }: FaultRun, { figures }: RunOutcome): string {
  return `${name}: ${title}\n${toTable(toFigures([figures]))}`;
}

/**
 * Enter a run into the matrix in `folder`: its figures replace those of the class' run before, the
 * other classes keep theirs, and the page is written anew from all.
 */
export function publish(folder: string, publication: Publication): void {
  const path = join(folder, DATA_FILE);
  const before = existsSync(path) ? matrixSchema.parse(JSON.parse(readFileSync(path, "utf8"))) : {};
  const matrix = { ...before, [publication.faultRun.name]: toEntry(publication) };
  writeFileSync(path, `${JSON.stringify(matrix, null, 2)}\n`);
  writeFileSync(join(folder, PAGE_FILE), toPage(matrix));
}

function toEntry({ outcome, seed, seconds }: Publication): Entry {
  const figures = toFigures([outcome.figures]).map(
    ({ name, value, unit, limit, ok }) =>
      [name, { value: Number.isFinite(value) ? value : null, unit, limit, ok }] as const,
  );
  return {
    seed,
    date: new Date().toISOString().slice(0, 10),
    machine: `${availableParallelism()} cores, ${Math.round(totalmem() / GIBIBYTE)} GiB`,
    seconds,
    figures: Object.fromEntries(figures),
  };
}

/** Write the matrix as a page. */
function toPage(matrix: Matrix): string {
  const sections = FAULT_RUNS.map((faultRun) => toSection(faultRun, matrix[faultRun.name]));
  return `${HEADER}\n${sections.join("\n")}\n${toCitations()}`;
}

const HEADER = `# Fault matrix

What was done to Headrace on purpose, and what came of it. \`npm run test:faults\` does all of it again and writes this page; \`-- --only NAME\`
does one class, \`-- --seed N\` repeats a run's plan, \`-- --size small\` is the short form that \`npm test\` runs.

Every process is real (redis-server with an append-only file, \`appendfsync everysec\`; ingresses and workers; engine-sim in the GPU's place), all on one
machine together with their clients. After a run a verifier reads the ledger and what every reader was shown. A text is right when it
equals the one that can be computed from the prompt.

- **lost jobs**: accepted, and unknown or never ended. **wrong results**: a log that says another text, or has a gap
- **double finishes**: more or fewer than one end. **bad streams**: a reader with a gap, a repeat, a wrong text, two ends or none
- **innocent failures**: a job that ended otherwise than it should. **ghosts**: ran, and nobody was told of them
- **leaks**: a tenant's key was told something of the other's job, or could do something to it. There are two in every run, whose jobs come in turn
  under the same Idempotency-Keys; each tries the ids of the other's jobs as they run and when they have ended, in all ways that take one
- **odd answers**: neither success nor a 429 or 503. **leftovers**: ended, and still listed somewhere
`;

/** The faults that have tests of their own, as a table. */
function toCitations(): string {
  const rows = CITATIONS.map(({ fault, outcome, file, test }) => {
    const link = `[${file.split("/").at(-1)}](../${file})`;
    return `| ${fault} | ${outcome} | ${link}: ${test} |`;
  });
  return [
    "## One fault at a time\n",
    "Each is a test of `npm test`.\n",
    "| fault | what comes of it | test |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

function toSection({ name, title }: FaultRun, entry: Entry | undefined): string {
  if (entry === undefined) return `## ${name}\n\n${title}\n\nNot run at full size yet.\n`;
  const { seed, date, machine, seconds, figures } = entry;
  const rows = Object.entries(figures).map(([figure, { value, unit, limit, ok }]) => {
    const reach = limit === null ? "" : `${limit.bound === "at_most" ? "≤" : "≥"} ${limit.value}`;
    const shown = value === null ? "none" : `${Number(value.toPrecision(4))} ${unit}`.trim();
    return `| ${figure.replaceAll("_", " ")} | ${ok ? shown : `**${shown}, missed**`} | ${reach} |`;
  });
  return [
    `## ${name}\n`,
    `${title[0]?.toUpperCase()}${title.slice(1)}.\n`,
    `Seed ${seed}, ${date}, ${machine}, ${seconds} s.\n`,
    "| figure | seen | reach |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}
