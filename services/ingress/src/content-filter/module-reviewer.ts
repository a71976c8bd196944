import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { ConfigurationError } from "@headrace/runtime";
import { z } from "zod";

import { FilterFailure, type Prompt, type Reviewer } from "./content-filter.ts";

/** A module's `filter`: what it may give is checked once it has. */
type Filter = (prompt: Prompt, options: { readonly signal: AbortSignal }) => unknown;

const moduleSchema = z.object({
  filter: z.custom<Filter>((value) => typeof value === "function", "expected a function"),
});

/** Asks a function that was loaded into this process. */
export class ModuleReviewer implements Reviewer {
  readonly #filter: Filter;

  private constructor(filter: Filter) {
    this.#filter = filter;
  }

  /**
   * Load the module that exports `filter`.
   *
   * @param path of a file, from the working directory where it is relative
   * @throws ConfigurationError when it cannot be loaded, or exports no such function
   */
  static async load(path: string): Promise<ModuleReviewer> {
    const loaded = await load(path);
    const parsed = moduleSchema.safeParse(loaded);
    if (parsed.success) return new ModuleReviewer(parsed.data.filter);
    throw new ConfigurationError(
      `INGRESS_CONTENT_FILTER_MODULE: ${path} exports no function named filter`,
    );
  }

  async review(prompt: Prompt, signal: AbortSignal): Promise<Buffer> {
    let verdict: unknown;
    try {
      // A copy: what the module does to it reaches nobody else.
      verdict = await this.#filter(structuredClone(prompt), { signal });
    } catch {
      // Its message may quote the prompt.
      throw new FilterFailure("the filter threw");
    }
    return toBytes(verdict);
  }
}

async function load(path: string): Promise<unknown> {
  try {
    const module: unknown = await import(pathToFileURL(resolve(path)).href);
    return module;
  } catch (error) {
    throw new ConfigurationError(
      `INGRESS_CONTENT_FILTER_MODULE: ${path} cannot be loaded as a module`,
      { cause: error },
    );
  }
}

/** Through JSON, as if it had come from afar: so it holds nothing that a request cannot. */
function toBytes(verdict: unknown): Buffer {
  try {
    return Buffer.from(JSON.stringify(verdict) ?? "");
  } catch {
    throw new FilterFailure("the verdict cannot be written as JSON");
  }
}
