import {
  batchInputLineSchema,
  MOST_BATCH_ERRORS,
  type BatchEndpoint,
  type BatchError,
} from "@headrace/contract";

import type { InputFile } from "./input-file.ts";
import { checkLine, isFault, type LineFault } from "./line-check.ts";
import { LineScanner, LONGEST_LINE_BYTES, type ScannedLine } from "./line-scanner.ts";
import { LineTable } from "./line-table.ts";

const GZIP_MARK = Buffer.from([0x1f, 0x8b]);
const LONGEST_QUOTE = 128;

/** What a batch promises of its file. */
export interface InputRules {
  readonly endpoint: BatchEndpoint;
  readonly mostLines: number;
}

/**
 * Reads a batch's whole file once, as it comes, and finds what is wrong with it, and where its lines
 * are. Holds one line at a time, and 32 bytes of each.
 */
export class InputCheck {
  readonly table = new LineTable();
  readonly #rules: InputRules;
  readonly #scanner = new LineScanner();
  readonly #errors: BatchError[] = [];
  #model: string | null = null;
  #isFirstChunk = true;
  #isOver = false;

  constructor(rules: InputRules) {
    this.#rules = rules;
  }

  /** The model that all lines name; null while none did. */
  get model(): string | null {
    return this.#model;
  }

  /** Whether so much is wrong that the rest is not worth reading. */
  get isHopeless(): boolean {
    return this.#isOver || this.#errors.length >= MOST_BATCH_ERRORS;
  }

  /** Take the next chunk of the file. */
  take(chunk: Buffer): void {
    if (this.#isFirstChunk && chunk.subarray(0, GZIP_MARK.length).equals(GZIP_MARK)) {
      const message = "the file is compressed; upload the JSON Lines as they are, in UTF-8";
      return this.#giveUp("invalid_file_format", message);
    }
    this.#isFirstChunk = false;
    for (const line of this.#scanner.take(chunk)) this.#check(line);
  }

  /**
   * End the file.
   *
   * @param file its copy, for what must be looked at again
   * @returns what is wrong with it, the first hundred faults; none of a file that can be run
   */
  async end(file: InputFile): Promise<BatchError[]> {
    for (const line of this.#scanner.end()) this.#check(line);
    if (this.#errors.length > 0) return this.#errors;
    if (this.table.size === 0) {
      return [{ code: "empty_file", line: null, message: "the file has no lines", param: null }];
    }
    return this.#findDuplicates(file);
  }

  #check({ number, offset, bytes }: ScannedLine): void {
    if (this.isHopeless) return;
    if (this.table.size === this.#rules.mostLines) return this.#refuseMore();
    if (bytes === null) return this.#add(number, tooLong());
    const checked = checkLine(bytes, this.#rules.endpoint);
    if (isFault(checked)) return this.#add(number, checked);
    const { model, idDigest, prefixes } = checked;
    this.#model ??= model;
    if (model !== this.#model) return this.#add(number, otherModel(this.#model));
    this.table.add({ number, offset, sizeBytes: bytes.length, idDigest, prefixes });
  }

  #add(line: number, fault: LineFault): void {
    this.#errors.push({ ...fault, line });
  }

  #refuseMore(): void {
    const message = `the file has over ${this.#rules.mostLines} lines, as many as a batch may have; split it`;
    this.#giveUp("too_many_tasks", message);
  }

  #giveUp(code: string, message: string): void {
    this.#errors.push({ code, line: null, message, param: null });
    this.#isOver = true;
  }

  /** Equal digests make it likely, equal ids sure. */
  async #findDuplicates(file: InputFile): Promise<BatchError[]> {
    const firsts = new Map<string, number>();
    const errors: BatchError[] = [];
    for (const line of this.table.findRepeatedIds()) {
      if (errors.length === MOST_BATCH_ERRORS) break;
      const bytes = await file.read(this.table.placeOf(line));
      const { custom_id: id } = batchInputLineSchema.parse(JSON.parse(bytes.toString()));
      const number = this.table.numberOf(line);
      const first = firsts.get(id);
      if (first === undefined) firsts.set(id, number);
      else errors.push({ ...duplicate(id, first), line: number });
    }
    return errors;
  }
}

function tooLong(): LineFault {
  const message = `the line is over ${LONGEST_LINE_BYTES} bytes`;
  return { code: "line_too_long", message, param: null };
}

function otherModel(model: string): LineFault {
  const quote = model.slice(0, LONGEST_QUOTE);
  const message = `body.model: expected "${quote}", which the first line names; a batch is for one model`;
  return { code: "model_mismatch", message, param: "body.model" };
}

function duplicate(id: string, first: number): LineFault {
  const message = `custom_id: ${JSON.stringify(id.slice(0, LONGEST_QUOTE))} is that of line ${first}, too; each line needs its own`;
  return { code: "duplicate_custom_id", message, param: "custom_id" };
}
