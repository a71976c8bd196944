import type { Random } from "@headrace/testkit/instruments";

import { contentOf } from "../bench/chat-stream.ts";

/** A stream of the engine, as it comes over a bad line from a bad engine. */
export interface Mangled {
  readonly pieces: readonly Buffer[];
  /** Whether the connection is reset at the end, instead of being closed. */
  readonly isReset: boolean;
  /** Whether a reader may take it for whole, having read this text. */
  readonly mayPass: (text: string) => boolean;
}

const MOST_PIECES = 12;
const NOISE = [
  "\n",
  "\r\n",
  "data: {",
  "data: [DONE]",
  "\u0000",
  "}",
  ": ping\n\n",
  "data: {}\n\n",
];

type Change = (bytes: Buffer, random: Random) => Buffer;

/** What may befall a stream. Cutting is the likeliest: it is what happens to real ones. */
const CHANGES: readonly Change[] = [
  cut,
  cut,
  cut,
  leave,
  (bytes, random) => {
    const at = random.between(0, bytes.length - 1);
    return Buffer.from(bytes).fill(random.between(0, 255), at, at + 1);
  },
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
  },
  (bytes, random) => {
    const at = random.between(0, bytes.length);
    const noise = Buffer.from(random.pick(NOISE));
    return Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]);
  },
];

/** Cut or corrupt a stream, and have it come in pieces split at any byte. */
export function mangle(script: Buffer, random: Random): Mangled {
  const change = random.pick(CHANGES);
  const bytes = change(script, random);
  const isUncorrupted = change === cut || change === leave;
  const whole = textOf(script);
  return {
    pieces: split(bytes, random),
    isReset: random.chance(0.3),
    mayPass: (text) => hasEnd(bytes) && (text === whole || !isUncorrupted),
  };
}

function leave(bytes: Buffer): Buffer {
  return bytes;
}

function cut(bytes: Buffer, random: Random): Buffer {
  return bytes.subarray(0, random.between(0, bytes.length - 1));
}

function range(bytes: Buffer, random: Random): readonly [number, number] {
  const points = [random.between(0, bytes.length), random.between(0, bytes.length)] as const;
  return [Math.min(...points), Math.max(...points)];
}

function split(bytes: Buffer, random: Random): Buffer[] {
  const count = random.between(0, MOST_PIECES);
  const points = Array.from({ length: count }, () => random.between(0, bytes.length));
  const ends = [...points, bytes.length].toSorted((a, b) => a - b);
  return ends
    .map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end))
    .filter((piece) => piece.length > 0);
}

/** Whether the engine still says that it has finished, and then that there is no more. */
function hasEnd(bytes: Buffer): boolean {
  return /"finish_reason":"[^"].*data: ?\[DONE\]/s.test(bytes.toString("latin1"));
}

function textOf(script: Buffer): string {
  const lines = script.toString().split("\n");
  const events = lines.filter((line) => line.startsWith("data: {"));
  return events.map((line) => contentOf(JSON.parse(line.slice(6)))).join("");
}
