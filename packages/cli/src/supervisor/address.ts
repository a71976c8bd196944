import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

import { CommandFailure, systemCodeOf } from "../failure.ts";

/** This machine, to itself. */
export const LOCAL = "127.0.0.1";

/**
 * Where ports for the inner processes are looked for: below those that systems hand to outgoing
 * connections (from 32768 on), so that none is lost between now and the process' start.
 */
const PORTS = { first: 20_000, end: 32_000 } as const;
const PORT_TRIES = 200;

/** Find ports of this machine, all different, that nobody listens on just now. */
export async function findFreePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; found.size < count && tries < PORT_TRIES; tries += 1) {
    const port = randomInt(PORTS.first, PORTS.end);
    if (!found.has(port) && (await isFree(port))) found.add(port);
  }
  if (found.size === count) return [...found];
  throw new CommandFailure(
    `Of the ports ${PORTS.first} to ${PORTS.end} hardly one is free; Headrace needs ${count}.`,
  );
}

async function isFree(port: number): Promise<boolean> {
  try {
    await listenOnce(LOCAL, port);
    return true;
  } catch {
    return false;
  }
}

/**
 * Make sure the API can have its address.
 *
 * @throws CommandFailure when it is taken, or may not be had
 */
export async function assertAvailable(host: string, port: number): Promise<void> {
  try {
    await listenOnce(host, port);
  } catch (error) {
    throw new CommandFailure(describeRefusal(host, port, systemCodeOf(error) ?? String(error)), {
      cause: error,
    });
  }
}

/** Write an address as a URL that this machine reaches it by. */
export function toUrl(host: string, port: number): string {
  const isAny = host === "0.0.0.0" || host === "::";
  const name = isAny ? LOCAL : host.includes(":") ? `[${host}]` : host;
  return `http://${name}:${port}`;
}

/** Whether a host is this machine, to itself. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || name === "::1" || name.startsWith("127.");
}

function describeRefusal(host: string, port: number, code: string): string {
  switch (code) {
    case "EADDRINUSE":
      return `Port ${port} of ${host} is taken. Stop what listens there, or choose another with --port ${port + 1}.`;
    case "EACCES":
      return `This user may not listen on port ${port}. Choose one from 1024 up with --port.`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `This machine has no address ${host}. Choose another with --host.`;
    default:
      return `Headrace cannot listen on ${host}, port ${port}: ${code}. Choose others with --host and --port.`;
  }
}

async function listenOnce(host: string, port: number): Promise<void> {
  const server = createServer();
  server.listen(port, host);
  await once(server, "listening");
  server.close();
  await once(server, "close");
}
