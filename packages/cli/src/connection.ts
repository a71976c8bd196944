import { resolve } from "node:path";

import { Headrace } from "@headrace/client";

import { DataDirectory, DEFAULT_DATA_DIRECTORY } from "./data-directory.ts";
import type { Environment } from "./environment.ts";
import { CommandFailure } from "./failure.ts";
import { quote } from "./shell.ts";
import { findLocalUrl } from "./run-record.ts";
import { isLoopback } from "./supervisor/address.ts";
import { paint, type Terminal } from "./terminal.ts";

const DEFAULT_URL = "http://127.0.0.1:8080";
/** Shorter pauses before a further try are not worth a word, ms. */
const SILENT_PAUSE_MS = 1_000;

/** The flags that say which Headrace is meant. */
export interface ConnectionOptions {
  readonly url?: string | undefined;
  readonly "data-dir": string;
}

/**
 * Connect to the Headrace that flags and environment name, else to the one that `up` runs here.
 *
 * @throws CommandFailure when there is no key for it
 */
export function connect(
  options: ConnectionOptions,
  environment: Environment,
  terminal: Terminal,
): Headrace {
  const directory = new DataDirectory(options["data-dir"]);
  const url = options.url ?? environment.HEADRACE_URL ?? findLocalUrl(directory) ?? DEFAULT_URL;
  // The local key is for the local server: no other gets to see it.
  const localKey = isLoopback(new URL(url).hostname) ? directory.findApiKey() : null;
  const apiKey = environment.HEADRACE_API_KEY ?? localKey;
  if (apiKey === null) {
    throw new CommandFailure(
      `There is no API key for ${url}.\nSet HEADRACE_API_KEY, or name the folder that \`headrace up\` keeps its key in with --data-dir (looked in ${directory.path}).`,
    );
  }
  let told = "";
  return new Headrace({
    url,
    apiKey,
    onRetry: ({ message }, pauseMs) => {
      // An outage is told of once, not at every try.
      if (pauseMs < SILENT_PAUSE_MS || message === told) return;
      told = message;
      terminal.err.write(`\n${paint(terminal.err, "yellow", "!")} ${message}; trying again …\n`);
    },
  });
}

/** The flags by which a further command finds the same Headrace, each followed by a space. */
export function flagsFor(options: ConnectionOptions): string {
  const { url, "data-dir": dataDirectory } = options;
  return [
    url === undefined ? "" : `--url ${url} `,
    dataDirectory === resolve(DEFAULT_DATA_DIRECTORY) ? "" : `--data-dir ${quote(dataDirectory)} `,
  ].join("");
}
