import { relative } from "node:path";

import type { DataDirectory } from "./data-directory.ts";
import { quote } from "./shell.ts";
import { paint, type Output } from "./terminal.ts";

/** What is said once everything runs. */
export interface Serving {
  readonly url: string;
  readonly model: string;
  readonly directory: DataDirectory;
  /** The API key, when it was made just now and has to be shown. */
  readonly newKey: string | null;
  /** Whether the key comes from HEADRACE_API_KEY rather than from the data directory. */
  readonly hasOwnKey: boolean;
  /** How the user starts this program. */
  readonly command: string;
  /** Flags by which further commands find this Headrace, each followed by a space. */
  readonly flags: string;
}

const NAME_WIDTH = 9;

/** Write what a user needs to go on: where, with which key, and a first call to paste. */
export function renderServing(serving: Serving, output: Output): string[] {
  const { url, directory, newKey, hasOwnKey, command, flags } = serving;
  const show = (name: string, text: string): string =>
    `  ${paint(output, "dim", name.padEnd(NAME_WIDTH))}${text}`;
  const keyPath = nearPath(directory.apiKeyPath);
  const key =
    newKey === null
      ? hasOwnKey
        ? "HEADRACE_API_KEY"
        : `in ${keyPath}`
      : `${newKey}  (kept in ${keyPath})`;
  return [
    `  ${paint(output, "bold", `Headrace serves at ${paint(output, "green", url)}`)}`,
    "",
    show("API key", key),
    show("docs", `${url}/docs`),
    show("metrics", `${url}/metrics`),
    show("OpenAI", `new OpenAI({ baseURL: "${url}/v1", apiKey })`),
    "",
    ...renderCurl(serving),
    "",
    `  ${command} submit ${flags}"…"`,
    "  queues a job and watches it. Ctrl-C stops everything.",
  ];
}

/** Write a call that works when it is pasted into a shell of this machine, in any folder. */
export function renderCurl({ url, model, directory, hasOwnKey }: Serving): string[] {
  const key = hasOwnKey ? "$HEADRACE_API_KEY" : `$(cat ${quote(directory.apiKeyPath)})`;
  const messages = JSON.stringify([{ role: "user", content: "What is a headrace?" }]);
  const body = `{"model": ${JSON.stringify(model)}, "stream": true,\n         "messages": ${messages}}`;
  return [
    `  curl -N ${url}/v1/chat/completions \\`,
    `    -H "Authorization: Bearer ${key}" \\`,
    `    -H "Content-Type: application/json" \\`,
    ...`    -d ${quote(body)}`.split("\n"),
  ];
}

/** A path as short as it can be said from here. */
function nearPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : near;
}
