import {
  PlatformError,
  type BatchEndpoint,
  type BatchError,
  batchInputLineSchema,
  type BatchInputLine,
} from "@headrace/contract";
import { parseJson, validate } from "@headrace/endpoints";

import { InputCheck, type InputRules } from "./input-check.ts";
import { InputFile } from "./input-file.ts";
import { orderByPrefix } from "./line-order.ts";
import type { LineTable } from "./line-table.ts";

/** A line of a batch's input, as it is to be run. */
export interface InputLine extends BatchInputLine {
  /** Counted from 0, in the file's order, blank lines left out. */
  readonly line: number;
  readonly sizeBytes: number;
}

/** A batch's input that can be run: its lines by their place in the order in which they are. */
export class Input {
  readonly model: string;
  readonly #file: InputFile;
  readonly #table: LineTable;
  readonly #order: Uint32Array;

  private constructor(
    parts: { readonly file: InputFile; readonly table: LineTable },
    model: string,
    endpoint: BatchEndpoint,
  ) {
    this.model = model;
    this.#file = parts.file;
    this.#table = parts.table;
    this.#order =
      endpoint === "/v1/embeddings"
        ? Uint32Array.from({ length: parts.table.size }, (_, line) => line)
        : orderByPrefix(parts.table);
  }

  /**
   * Copy a file to the local disk, and check it on the way.
   *
   * @returns the input, which is to be closed; or what is wrong with the file
   * @throws PlatformError `storage_full` when the disk is; whatever `body` throws
   */
  static async read(
    body: AsyncIterable<Uint8Array>,
    rules: InputRules,
    folder: string,
  ): Promise<Input | BatchError[]> {
    const file = await InputFile.create(folder).catch(rethrowDisk);
    try {
      const check = new InputCheck(rules);
      for await (const chunk of body) {
        await file.append(chunk).catch(rethrowDisk);
        check.take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        if (check.isHopeless) break;
      }
      const errors = await check.end(file);
      if (errors.length === 0 && check.model !== null) {
        return new Input({ file, table: check.table }, check.model, rules.endpoint);
      }
      await file.close();
      return errors;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** How many lines there are. */
  get size(): number {
    return this.#order.length;
  }

  /** Read the line at a place of the order. */
  async lineAt(place: number): Promise<InputLine> {
    const line = this.#order[place] ?? 0;
    const bytes = await this.#file.read(this.#table.placeOf(line));
    return {
      ...validate(batchInputLineSchema, parseJson(bytes)),
      line,
      sizeBytes: bytes.length,
    };
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

const NO_SPACE: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"]);

function rethrowDisk(error: unknown): never {
  const code = error instanceof Error && "code" in error ? error.code : null;
  const [kind, what] = NO_SPACE.has(code)
    ? (["storage_full", "the disk for copies of input files is full"] as const)
    : (["storage_unavailable", "no copy of an input file can be made"] as const);
  throw new PlatformError(kind, what, { cause: error });
}
