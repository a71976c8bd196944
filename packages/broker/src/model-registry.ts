import { createHash } from "node:crypto";

import { modelCodeSchema, PlatformError, type ModelCode } from "@headrace/contract";
import type { ModelExtent } from "@headrace/contract/token-estimate";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "./keys.ts";
import { script } from "./script.ts";
import { readTypicalOutputs } from "./typical-output.ts";

const register = script("register", z.string());

/** How long a process believes what it has read: a new model serves within this time. */
const TRUST_MS = 1_000;
/** What was not found may have come since: it is looked for again after this time. */
const TRUST_ABSENCE_MS = 100;
const CODE_LENGTH = 6;
/** Six base-32 digits hold 30 bits: with a thousand models one in two thousand clashes once. */
const CODE_TRIES = 16;

const knownModelSchema = z.object({
  code: modelCodeSchema,
  /** Which version new jobs go to: the name of the queue they wait in. */
  version: z.string(),
  maxModelLength: z.int().nullable(),
  /** Unix seconds of the first registration. */
  createdAt: z.int(),
});
/** A model that had a worker. */
export type KnownModel = z.infer<typeof knownModelSchema> & ModelExtent;

/** What a worker says of the engine's model when it starts. */
export interface ModelRegistration {
  readonly version: string;
  readonly maxModelLength: number | null;
}

/**
 * The models that have ever had a worker, so that a job is accepted while all workers are scaled
 * to zero. Names map to short codes, from which every key of the model's slot is built.
 */
export class ModelRegistry {
  readonly #redis: Redis;
  readonly #now: () => number;
  #models: ReadonlyMap<string, KnownModel> = new Map();
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(redis: Redis, now: () => number = Date.now) {
    this.#redis = redis;
    this.#now = now;
  }

  /**
   * Enter a model under its name and every alias. Entering it again renews what is known.
   *
   * @returns the code of the model's slot
   */
  async register(names: readonly string[], model: ModelRegistration): Promise<ModelCode> {
    const [owner] = names;
    if (owner === undefined) throw new TypeError("a model needs a name");
    const code = await this.#registerName(owner, owner, model);
    for (const alias of names.slice(1)) await this.#registerName(alias, owner, model, code);
    this.#readAtMs = Number.NEGATIVE_INFINITY;
    return code;
  }

  /**
   * Enter a model again where Redis has lost it, under the code that it had. Names that are known
   * stay as they are: two versions that both wrote would take new jobs from each other in turn.
   *
   * @throws PlatformError `internal` when a name now has another code, or the code another owner
   */
  async reenter(
    names: readonly string[],
    model: ModelRegistration,
    code: ModelCode,
  ): Promise<void> {
    const [owner = ""] = names;
    for (const name of names) {
      const known = await this.#enter({ name, owner, model, code, isKept: true });
      if (known === code) continue;
      const now = known === "" ? "another model has its code" : `its code is ${known} now`;
      throw new PlatformError("internal", `${name} was ${code}, and ${now}: restart this worker`);
    }
  }

  /** Look a model up by name or alias. @returns null when no worker ever served it */
  async find(name: string): Promise<KnownModel | null> {
    const known = (await this.list()).get(name);
    // What is not there may just have come: its worker says it is ready, and its first job is here.
    return known ?? (await this.#readWithin(0)).get(name) ?? null;
  }

  /** Every model by name, as of at most a second ago. */
  async list(): Promise<ReadonlyMap<string, KnownModel>> {
    return this.#readWithin(this.#models.size === 0 ? TRUST_ABSENCE_MS : TRUST_MS);
  }

  async #readWithin(trustMs: number): Promise<ReadonlyMap<string, KnownModel>> {
    if (this.#now() - this.#readAtMs < trustMs) return this.#models;
    const [fields, outputs] = await Promise.all([
      this.#redis.hgetall(keys.modelsByName),
      readTypicalOutputs(this.#redis),
    ]);
    this.#models = new Map(
      Object.entries(fields).map(([name, json]) => {
        const model = knownModelSchema.parse(JSON.parse(json));
        return [name, { ...model, typicalOutput: outputs.get(model.code)?.tokens ?? null }];
      }),
    );
    this.#readAtMs = this.#now();
    return this.#models;
  }

  async #registerName(
    name: string,
    owner: string,
    model: ModelRegistration,
    ownersCode?: ModelCode,
  ): Promise<ModelCode> {
    for (let attempt = 0; attempt < CODE_TRIES; attempt += 1) {
      const suggestion = ownersCode ?? suggestCode(owner, attempt);
      const code = await this.#enter({ name, owner, model, code: suggestion, isKept: false });
      if (code !== "") return modelCodeSchema.parse(code);
    }
    throw new PlatformError("internal", `no free code for model ${name} in ${CODE_TRIES} tries`);
  }

  /** @returns the name's code, or '' when the code is another model's */
  #enter({ name, owner, model, code, isKept }: Entering): Promise<string> {
    const nowSeconds = Math.floor(this.#now() / 1_000);
    return register(
      this.#redis,
      [keys.modelsByName, keys.modelsByCode],
      [name, code, owner, JSON.stringify(model), nowSeconds, isKept ? "1" : ""],
    );
  }
}

/** One name on its way in. */
interface Entering {
  readonly name: string;
  readonly owner: string;
  readonly model: ModelRegistration;
  readonly code: string;
  /** What is known of the name stays. */
  readonly isKept: boolean;
}

/** The same name suggests the same codes in the same order, so that re-registering is stable. */
function suggestCode(name: string, attempt: number): string {
  const digest = createHash("sha256").update(`${attempt} ${name}`).digest();
  return (digest.readUInt32BE() >>> 2).toString(32).padStart(CODE_LENGTH, "0").slice(-CODE_LENGTH);
}
