import { Random } from "@headrace/testkit/instruments";
import { expect, test } from "vitest";

import { mangle, type Mangled } from "./mangling.ts";

const event = (data: string): string => `data: ${data}\n\n`;
const delta = (content: string, end: string): string =>
  event(`{"choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":${end}}]}`);
const SCRIPT = Buffer.from(delta("Hello", "null") + delta(" you", '"stop"') + event("[DONE]"));

const draw = (seed: number): Mangled[] => {
  const random = new Random(seed);
  return Array.from({ length: 400 }, () => mangle(SCRIPT, random));
};

const bytesOf = ({ pieces }: Mangled): Buffer => Buffer.concat(pieces);

test("streams are mangled in the same ways for the same seed", () => {
  expect(draw(1).map(bytesOf)).toEqual(draw(1).map(bytesOf));
  expect(draw(1).map(bytesOf)).not.toEqual(draw(2).map(bytesOf));
});

test("a stream that was cut may not pass for whole, nor pass with less than all of its text", () => {
  const mangled = draw(1);
  const cut = mangled.filter((stream) => {
    const bytes = bytesOf(stream);
    return bytes.length < SCRIPT.length - 10 && SCRIPT.subarray(0, bytes.length).equals(bytes);
  });
  const whole = mangled.filter((stream) => bytesOf(stream).equals(SCRIPT));

  expect(cut.length).toBeGreaterThan(100);
  expect(cut.filter((stream) => stream.mayPass("Hello"))).toEqual([]);
  expect(whole.length).toBeGreaterThan(20);
  expect(whole.every((stream) => stream.mayPass("Hello you"))).toBe(true);
  expect(whole.some((stream) => stream.mayPass("Hello"))).toBe(false);
});
