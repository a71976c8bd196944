import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { parquetWriteBuffer } from "hyparquet-writer";
import { describe, expect, test as plainTest } from "vitest";
import { z } from "zod";

import { CommandFailure } from "../failure.ts";
import { readRequests, type InputReading } from "./read-requests.ts";
import type { LineOptions } from "./request-line.ts";
import { Template } from "./template.ts";

const NOTHING: LineOptions = {
  column: undefined,
  template: undefined,
  idColumn: undefined,
  endpoint: undefined,
  model: undefined,
  system: undefined,
  maxTokens: undefined,
  temperature: undefined,
};
const lineSchema = z.looseObject({
  custom_id: z.string(),
  url: z.string(),
  body: z.looseObject({ model: z.string() }),
});

type Asked = Partial<LineOptions> & { readonly format?: InputReading["format"] };

/** Reads a file of a name and content, with what the command line would say. */
const test = plainTest.extend("read", async ({}, { onCleanup }) => {
  const folder = mkdtempSync(join(tmpdir(), "headrace-input-"));
  onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  return async (name: string, content: string | Uint8Array | null, asked: Asked = {}) => {
    const path = join(folder, name);
    if (content !== null) writeFileSync(path, content);
    const texts: string[] = [];
    const { format, ...lines } = asked;
    const input = await readRequests({
      path,
      format,
      lines: { ...NOTHING, ...lines },
      findModel: async () => "only-model",
      take: ({ text }) => void texts.push(text),
      signal: new AbortController().signal,
    });
    return { ...input, texts, lines: texts.map((text) => lineSchema.parse(JSON.parse(text))) };
  };
});

/** What is said of an input that cannot be run, without the file's path. */
async function faultOf(reading: Promise<unknown>): Promise<string> {
  try {
    await reading;
  } catch (error) {
    if (error instanceof CommandFailure && error.exitCode === 2) {
      return error.message.replace(/^\S*\//, "");
    }
    throw error;
  }
  return "none";
}

const user = (content: string): object => ({ role: "user", content });

describe("OpenAI's lines", () => {
  test("stay as they came, to the byte", async ({ read }) => {
    const line = `{"custom_id":"a", "method":"POST","url":"/v1/completions","body":{"model":"m","prompt":"hi", "x":1.0}}`;
    const { texts, settled } = await read(
      "a.jsonl",
      `\uFEFF${line}\r\n\n${line.replace('"a"', '"b"')}`,
    );

    expect(texts).toEqual([line, line.replace('"a"', '"b"')]);
    expect(settled).toEqual({ endpoint: "/v1/completions", model: "m" });
  });

  test("are given what they lack", async ({ read }) => {
    const { lines } = await read(
      "a.jsonl",
      '\n{"body":{"messages":[{"role":"user","content":"hi"}]}}\n',
    );

    expect(lines).toEqual([
      {
        custom_id: "line-2",
        method: "POST",
        url: "/v1/chat/completions",
        body: { model: "only-model", messages: [user("hi")] },
      },
    ]);
  });

  test("go to another model where one is named", async ({ read }) => {
    const line = `{"custom_id":"a","url":"/v1/completions","body":{"model":"gpt-4o","prompt":"hi"}}`;
    const { lines } = await read("a.jsonl", line, { model: "m" });

    expect(lines[0]?.body).toEqual({ model: "m", prompt: "hi" });
  });

  test.for([
    ['{"custom_id":"a","method":"GET","body":{"prompt":"x"}}', /line 2: method: /],
    [
      '{"url":"/v1/embeddings","body":{"input":"x"}}',
      /line 2: url: found "\/v1\/embeddings", and this/,
    ],
    [
      '{"body":{"prompt":"x","model":"n"}}',
      /line 2: model: found "n", and the first line's is "m"/,
    ],
    ['{"body":"x"}', /line 2: body: expected an object/],
    ['{"body":{"prompt":"x","n":99}}', /line 2: body.n: /],
    [
      '{"custom_id":"first","body":{"prompt":"x"}}',
      /line 2: custom_id: "first" is that of request 1/,
    ],
    ['{"custom_id":"","body":{"prompt":"x"}}', /line 2: custom_id: expected a text or a number/],
    ["{", /line 2: not JSON/],
    ["[1]", /line 2: expected an object/],
    ["\u0000", /line 2: not JSON/],
  ] as const)("are refused as %s", async ([line, fault], { read }) => {
    const first = '{"custom_id":"first","url":"/v1/completions","body":{"model":"m","prompt":"x"}}';

    expect(await faultOf(read("a.jsonl", `${first}\n${line}\n`))).toMatch(fault);
  });
});

describe("lines with a prompt", () => {
  test("become requests of each endpoint, with their other fields", async ({ read }) => {
    const line = '{"prompt":"hi","max_tokens":5,"custom_id":7}\n';
    const bodyFor = async (endpoint: LineOptions["endpoint"], text = line): Promise<unknown> =>
      (await read("a.jsonl", text, { endpoint, model: "m" })).lines[0]?.body;

    expect(await bodyFor(undefined)).toEqual({ model: "m", max_tokens: 5, messages: [user("hi")] });
    expect(await bodyFor("/v1/completions")).toEqual({ model: "m", max_tokens: 5, prompt: "hi" });
    expect(await bodyFor("/v1/embeddings", '{"prompt":"hi"}')).toEqual({ model: "m", input: "hi" });
    expect(await bodyFor("/v1/responses", '{"input":"hi"}')).toEqual({ model: "m", input: "hi" });
    expect((await read("a.jsonl", line)).lines[0]?.custom_id).toBe("7");
  });

  test("take from the command line what they do not say", async ({ read }) => {
    const text =
      '{"prompt":"a"}\n{"messages":[{"role":"system","content":"mine"}],"max_tokens":1,"temperature":0}\n';
    const { lines } = await read("a.jsonl", text, { system: "all", maxTokens: 9, temperature: 1 });

    expect(lines.map(({ body }) => body)).toEqual([
      {
        model: "only-model",
        messages: [{ role: "system", content: "all" }, user("a")],
        max_tokens: 9,
        temperature: 1,
      },
      {
        model: "only-model",
        messages: [{ role: "system", content: "mine" }],
        max_tokens: 1,
        temperature: 0,
      },
    ]);
  });

  test("may be filled into a template; then their fields are data", async ({ read }) => {
    const template = new Template("Say {{ word }} to {{who}}: {{word}}");
    const { lines } = await read("a.jsonl", '{"word":"hi","who":{"name":"Bo"},"max_tokens":3}\n', {
      template,
    });

    expect(lines[0]?.body).toEqual({
      model: "only-model",
      messages: [user('Say hi to {"name":"Bo"}: hi')],
    });
  });

  test("are refused without one", async ({ read }) => {
    const both = '{"a":"x","b":"y"}\n{"text":""}\n';

    expect(await faultOf(read("a.jsonl", both))).toContain("line 1: no prompt; there is a, b");
    expect(await faultOf(read("a.jsonl", both, { column: "text" }))).toMatch(
      /line 1: no text; there is a, b[^]*line 2: text: empty/,
    );
  });
});

describe("a CSV", () => {
  const TABLE = 'id,text,label\n7,"two\nlines, ""quoted""",x\n8,plain,y\n';

  test("is read by column, and named by column", async ({ read }) => {
    const { lines } = await read("a.csv", `\uFEFF${TABLE}`, { column: "text", idColumn: "id" });

    expect(lines.map(({ custom_id }) => custom_id)).toEqual(["7", "8"]);
    expect(lines.map(({ body }) => body["messages"])).toEqual([
      [user('two\nlines, "quoted"')],
      [user("plain")],
    ]);
  });

  test("is read by template, its rows numbered", async ({ read }) => {
    const template = new Template("Classify: {{text}}");
    const { lines } = await read("a.csv", TABLE.replaceAll("\n", "\r\n"), { template });

    expect(lines.map(({ custom_id }) => custom_id)).toEqual(["line-1", "line-2"]);
    expect(lines[1]?.body["messages"]).toEqual([user("Classify: plain")]);
  });

  test("of one column, or with a prompt, needs no name for it", async ({ read }) => {
    const one = await read("a.csv", "question\nwhy?\n");
    const named = await read("a.tsv", "prompt\tmodel\twhy\nhow?\tcar\tnot\n");

    expect(one.lines[0]?.body["messages"]).toEqual([user("why?")]);
    expect(named.lines[0]?.body).toEqual({ model: "only-model", messages: [user("how?")] });
  });

  test.for<[string, string | Uint8Array, Asked, RegExp]>([
    ["two columns unnamed", TABLE, {}, /row 1: no prompt; there is id, text, label/],
    [
      "no such column",
      TABLE,
      { column: "txt" },
      /sent:\n {2}no column txt; there is id, text, label$/,
    ],
    ["an empty cell", "text,b\n,1\n", { column: "text" }, /row 1: text: empty/],
    ["a row too long", "a,b\n1,2\n1,2,3\n", { column: "a" }, /\(line 3 of the file\)/],
    ["an open quote", 'a,b\n"1,2\n', { column: "a" }, /not a CSV that can be read/],
    ["two columns of a name", "a,a\n1,2\n", { column: "a" }, /two columns are named "a"/],
    ["no UTF-8", Buffer.from("a\nb\nc\xff\n", "latin1"), {}, /line 3 of the file is not UTF-8/],
    [
      "a name used twice",
      "id,a\n1,x\n1,y\n",
      { column: "a", idColumn: "id" },
      /row 2: custom_id: "1"/,
    ],
  ])("with %s is refused", async ([, content, asked, fault], { read }) => {
    expect(await faultOf(read("a.csv", content, asked))).toMatch(fault);
  });
});

describe("Parquet", () => {
  const TABLE: Parameters<typeof parquetWriteBuffer>[0]["columnData"] = [
    { name: "text", data: ["one", "two", "three", null, "five"], type: "STRING" },
    { name: "n", data: [1n, 2n, 3n, 4n, 5n], type: "INT64" },
  ];

  test("is read group by group", async ({ read }) => {
    const content = new Uint8Array(parquetWriteBuffer({ columnData: TABLE, rowGroupSize: 2 }));
    const template = new Template("{{n}}: {{text}}");
    const { lines } = await read("a.parquet", content, { template, idColumn: "n" });

    expect(lines.map(({ custom_id }) => custom_id)).toEqual(["1", "2", "3", "4", "5"]);
    expect(lines.map(({ body }) => body["messages"])).toEqual(
      ["1: one", "2: two", "3: three", "4: ", "5: five"].map((text) => [user(text)]),
    );
    expect(await faultOf(read("a.parquet", content, { column: "text" }))).toContain(
      "row 4: text: empty",
    );
    expect(await faultOf(read("a.parquet", content, { column: "x" }))).toContain(
      "no column x; there is text, n",
    );
    expect(await faultOf(read("b.jsonl", content))).toContain(
      "it is Parquet; say so with --format",
    );
    expect(await faultOf(read("a.parquet", content.subarray(0, -20)))).toContain(
      "not a Parquet file",
    );
  });
});

describe("what is no input", () => {
  test.for<[string, string | Uint8Array | null, RegExp]>([
    ["none.jsonl", null, /none.jsonl: there is no such file/],
    ["empty.jsonl", "", /there is no request in it/],
    ["blank.jsonl", "\n \n", /there is no request in it/],
    ["head.csv", "a,b\n", /there is no request in it/],
    ["a.jsonl", gzipSync("{}"), /it is compressed; unpack it on its way in, as in: gunzip -c/],
    ["a.jsonl.gz", gzipSync("{}"), /it is compressed/],
    ["a.csv", Buffer.from("\uFEFFa", "utf16le"), /it is UTF-16; save it as UTF-8/],
    ["a.xlsx", "", /say so with --format jsonl\|csv\|tsv\|parquet/],
    ["a.parquet", "PAR1PAR1", /not a Parquet file that can be read/],
    ["a.jsonl", Buffer.from('{"prompt":"\xff"}', "latin1"), /line 1: the line is not UTF-8/],
  ])("%s is told as such", async ([name, content, fault], { read }) => {
    expect(await faultOf(read(name, content))).toMatch(fault);
  });

  test("a line over 8 MiB is passed over, and named", async ({ read }) => {
    const long = `{"prompt":"${"x".repeat(9 * 1_048_576)}"}`;

    expect(await faultOf(read("a.jsonl", `{"prompt":"a"}\n${long}\n{`))).toMatch(
      /line 2: the line is over 8388608 bytes\n {2}line 3: not JSON/,
    );
  });

  test("ten faults are enough", async ({ read }) => {
    const fault = await faultOf(read("a.jsonl", "{\n".repeat(1_000)));

    expect(fault.split("\n")).toHaveLength(12);
    expect(fault).toMatch(/line 10: [^\n]*\n {2}and more$/);
  });
});
