import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import type { BatchError } from "@headrace/contract";
import { describe, expect, test as base } from "vitest";

import { Input } from "./input.ts";
import { LONGEST_LINE_BYTES } from "./line-scanner.ts";

const RULES = { endpoint: "/v1/chat/completions", mostLines: 1_000 } as const;

const test = base.extend("folder", async ({}, { onCleanup }) => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-input-test-"));
  onCleanup(() => rm(folder, { recursive: true, force: true }));
  return folder;
});

function line(id: string, { text = "Hi", ...fields }: Record<string, unknown> = {}): string {
  const body = { model: "m", messages: [{ role: "user", content: text }] };
  return JSON.stringify({
    custom_id: id,
    method: "POST",
    url: "/v1/chat/completions",
    body,
    ...fields,
  });
}

async function* inChunks(file: Uint8Array, sizeBytes = 1_000): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < file.length; at += sizeBytes) yield file.subarray(at, at + sizeBytes);
}

async function readFaults(
  folder: string,
  file: string | Uint8Array,
  rules: { readonly mostLines: number } = RULES,
): Promise<readonly BatchError[]> {
  const read = await Input.read(inChunks(Buffer.from(file)), { ...RULES, ...rules }, folder);
  if (Array.isArray(read)) return read;
  await read.close();
  return [];
}

describe("an input file", () => {
  test("is read once, and gives back its lines in their order", async ({ folder }) => {
    const shared = "You are a judge. ".repeat(80);
    const texts = ["a", `${shared}1`, "b", `${shared}2`, "ü"];
    const file = texts.map((text, i) => line(`id ${i}`, { text })).join("\n");

    const input = await Input.read(inChunks(Buffer.from(file), 7), RULES, folder);

    if (Array.isArray(input)) throw new Error(JSON.stringify(input));
    const lines = await Promise.all(texts.map(async (_, place) => input.lineAt(place)));
    await input.close();
    expect(input.model).toBe("m");
    expect(lines.map((each) => [each.line, each.custom_id])).toEqual([
      [0, "id 0"],
      [1, "id 1"],
      [3, "id 3"],
      [2, "id 2"],
      [4, "id 4"],
    ]);
    expect(lines[4]?.body).toMatchObject({ messages: [{ content: "ü" }] });
  });

  test("leaves nothing on the disk, whether it is closed or not", async ({ folder }) => {
    const input = await Input.read(inChunks(Buffer.from(line("1"))), RULES, folder);

    expect(await readdir(folder)).toEqual([]);
    if (!Array.isArray(input)) await input.close();
  });

  test.for([
    ["no JSON", "{", "invalid_json_line", null],
    ["no object", "[1]", "invalid_json_line", null],
    ["not UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), "invalid_json_line", null],
    ["no custom_id", line("", { custom_id: undefined }), "missing_required_parameter", "custom_id"],
    ["an empty custom_id", line(""), "invalid_value", "custom_id"],
    ["a number for custom_id", line("", { custom_id: 7 }), "invalid_value", "custom_id"],
    ["another method", line("1", { method: "GET" }), "invalid_value", "method"],
    ["another endpoint", line("1", { url: "/v1/embeddings" }), "url_mismatch", "url"],
    ["no such endpoint", line("1", { url: "/v1/images" }), "url_mismatch", "url"],
    ["no body", line("1", { body: undefined }), "missing_required_parameter", "body"],
    ["no model", line("1", { body: {} }), "missing_required_parameter", "body.model"],
    ["another model", line("1", { body: { model: "n" } }), "model_mismatch", "body.model"],
    ["the id of a line before", line("0"), "duplicate_custom_id", "custom_id"],
  ] as const)(
    "with %s on a line is refused, and told which",
    async ([, fault, code, param], { folder }) => {
      const file = Buffer.concat([Buffer.from(`${line("0")}\n\n`), Buffer.from(fault)]);

      expect(await readFaults(folder, file)).toMatchObject([{ code, param, line: 3 }]);
    },
  );

  test("is told of a hundred faults, and not of more", async ({ folder }) => {
    const faults = await readFaults(folder, "{\n".repeat(500));

    expect(faults).toHaveLength(100);
    expect(faults.at(-1)).toMatchObject({ line: 100 });
  });

  test("is told of a hundred ids that are there twice", async ({ folder }) => {
    const lines = Array.from({ length: 400 }, (_, i) => line(`${i % 200}`));

    const faults = await readFaults(folder, lines.join("\n"));

    expect(faults).toHaveLength(100);
    expect(faults[0]?.message).toContain("line 1,");
    expect(faults[0]).toMatchObject({ code: "duplicate_custom_id", line: 201 });
  });

  test("that is empty, blank, compressed or too long is no batch", async ({ folder }) => {
    expect(await readFaults(folder, "")).toMatchObject([{ code: "empty_file" }]);
    expect(await readFaults(folder, "\n \n")).toMatchObject([{ code: "empty_file" }]);
    expect(await readFaults(folder, gzipSync(line("1")))).toMatchObject([
      { code: "invalid_file_format", line: null },
    ]);
    const file = ["1", "2", "3"].map((id) => line(id)).join("\n");
    expect(await readFaults(folder, file, { mostLines: 3 })).toEqual([]);
    expect(await readFaults(folder, file, { mostLines: 2 })).toMatchObject([
      { code: "too_many_tasks", line: null },
    ]);
  });

  test("with a line of 100 MB is told so, and the line is not kept", async ({ folder }) => {
    const chunk = Buffer.alloc(1_000_000, "x");
    async function* body(): AsyncGenerator<Uint8Array, void> {
      for (let i = 0; i < 100; i += 1) yield chunk;
    }
    const before = process.memoryUsage().arrayBuffers;

    const faults = await Input.read(body(), RULES, folder);

    expect(faults).toMatchObject([{ code: "line_too_long", line: 1 }]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(6 * LONGEST_LINE_BYTES);
  });
});
