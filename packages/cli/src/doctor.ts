import { diagnosisSchema, type Diagnosis, type Finding } from "@headrace/contract";

import type { DoctorOptions } from "./platform-flags.ts";
import { DataDirectory } from "./data-directory.ts";
import type { Environment } from "./environment.ts";
import { CommandFailure } from "./failure.ts";
import { findLocalUrl } from "./run-record.ts";
import { paint, type Output, type Style, type Terminal } from "./terminal.ts";

/** Where an ingress serves those who run it, unless it is told otherwise. */
const DEFAULT_URL = "http://127.0.0.1:9090";
const PATH = "internal/diagnosis";
/** Looking through 10,000 open jobs takes Redis a fraction of a second. */
const ANSWER_MS = 15_000;

/** Show what is wrong with a Headrace, and how to mend it. @returns 0 when all is well, else 1 */
export async function doctor(
  options: DoctorOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<number> {
  const local = findLocalUrl(new DataDirectory(options["data-dir"]));
  const diagnosis = await fetchDiagnosis(
    options.url ?? environment.HEADRACE_URL ?? local ?? DEFAULT_URL,
  );
  terminal.out.write(
    options.json
      ? `${JSON.stringify(diagnosis, null, 2)}\n`
      : `${renderDiagnosis(diagnosis, terminal.out).join("\n")}\n`,
  );
  return diagnosis.is_well ? 0 : 1;
}

/** Write each finding with how to mend it, and whether all is well. */
export function renderDiagnosis({ findings }: Diagnosis, output: Output): string[] {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const indent = " ".repeat(width + 6);
  return [
    ...findings.flatMap(({ check, level, found, advice }) => {
      const { sign, style } = SIGNS[level];
      const line = `  ${paint(output, style, sign)} ${check.padEnd(width)}  ${found}`;
      return advice === null ? [line] : [line, `${indent}${paint(output, "bold", `→ ${advice}`)}`];
    }),
    "",
    `  ${conclude(findings, output)}`,
  ];
}

const SIGNS: Readonly<Record<Finding["level"], { readonly sign: string; readonly style: Style }>> =
  {
    ok: { sign: "✓", style: "green" },
    warning: { sign: "!", style: "yellow" },
    fault: { sign: "✗", style: "red" },
  };

function conclude(findings: readonly Finding[], output: Output): string {
  const faults = findings.filter(({ level }) => level === "fault").length;
  const warnings = findings.filter(({ level }) => level === "warning").length;
  const parts = [
    ...(faults === 0 ? [] : [paint(output, "red", count(faults, "fault"))]),
    ...(warnings === 0 ? [] : [paint(output, "yellow", count(warnings, "warning"))]),
  ];
  return parts.length === 0 ? paint(output, "green", "All is well.") : parts.join(", ");
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

async function fetchDiagnosis(url: string): Promise<Diagnosis> {
  const page = new URL(PATH, url.endsWith("/") ? url : `${url}/`);
  const response = await fetch(page, { signal: AbortSignal.timeout(ANSWER_MS) }).catch(
    (error: unknown) => {
      throw new CommandFailure(
        `Nobody answers at ${url}.\n\`headrace up\` may not be running: \`npm start\` starts it, and --data-dir names its folder if it is another.\nOf an ingress that runs without it, --url names the operations port (9090 unless set).`,
        { cause: error },
      );
    },
  );
  const parsed = diagnosisSchema.safeParse(await response.json().catch(() => null));
  if (parsed.success) return parsed.data;
  throw new CommandFailure(
    `${page.href} gives no diagnosis (HTTP ${response.status}).\nIt is on the operations port of each ingress (9090 unless set); beside the API only where \`headrace up\` serves it, to this machine.`,
  );
}
