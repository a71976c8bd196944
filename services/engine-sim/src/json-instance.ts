import { z } from "zod";

import { WORDS } from "./words.ts";

/** A JSON schema as it came: an object, or `true` for anything. */
export type JsonSchema = Readonly<Record<string, unknown>> | boolean;

/** Gives a number below 2³² that nobody can foresee, and everybody can repeat. */
export type Draw = () => number;

/** A schema that refers to itself ends here: what may be left out is. */
const DEEPEST = 6;
const WORDS_IN_STRING = 4;
const MOST_ITEMS = 3;

const schemaObject = z.looseObject({
  type: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
  enum: z.array(z.unknown()).min(1).optional(),
  const: z.unknown().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  required: z.array(z.string()).optional(),
  items: z.unknown().optional(),
  anyOf: z.array(z.unknown()).min(1).optional(),
  oneOf: z.array(z.unknown()).min(1).optional(),
  allOf: z.array(z.unknown()).min(1).optional(),
  $ref: z.string().optional(),
  minItems: z.int().min(0).optional(),
  maxItems: z.int().min(0).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  exclusiveMinimum: z.number().optional(),
  minLength: z.int().min(0).optional(),
  maxLength: z.int().min(0).optional(),
});
type SchemaObject = z.infer<typeof schemaObject>;

/**
 * Make a value that a schema allows, as a guided engine's output is: another for other draws.
 *
 * Knows types, enumerations, alternatives, bounds and references; patterns and formats it does not.
 */
export function makeInstance(schema: JsonSchema, draw: Draw): unknown {
  return new InstanceMaker(schema, draw).make(schema, 0);
}

class InstanceMaker {
  readonly #root: JsonSchema;
  readonly #draw: Draw;

  constructor(root: JsonSchema, draw: Draw) {
    this.#root = root;
    this.#draw = draw;
  }

  make(schema: unknown, depth: number): unknown {
    const known = schemaObject.safeParse(schema);
    if (!known.success) return this.#words(WORDS_IN_STRING);
    const { $ref: reference, anyOf, oneOf, allOf, enum: choices } = known.data;
    if (reference !== undefined) return this.make(this.#resolve(reference), depth + 1);
    if ("const" in known.data) return known.data.const;
    if (choices !== undefined) return this.#pick(choices);
    const alternatives = anyOf ?? oneOf;
    if (alternatives !== undefined) {
      return this.make(
        depth >= DEEPEST ? this.#shallowest(alternatives) : this.#pick(alternatives),
        depth + 1,
      );
    }
    if (allOf !== undefined) return this.#makeAll(allOf, depth);
    return this.#makeTyped(known.data, depth);
  }

  #makeTyped(schema: SchemaObject, depth: number): unknown {
    const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
    switch (type ?? (schema.properties === undefined ? "string" : "object")) {
      case "object":
        return this.#object(schema, depth);
      case "array":
        return this.#array(schema, depth);
      case "integer":
        return Math.round(this.#number(schema));
      case "number":
        return this.#number(schema);
      case "boolean":
        return this.#draw() % 2 === 0;
      case "null":
        return null;
      default:
        return this.#string(schema);
    }
  }

  #object({ properties = {}, required = [] }: SchemaObject, depth: number): object {
    const names = Object.keys(properties).filter(
      (name) => depth < DEEPEST || required.includes(name),
    );
    return Object.fromEntries(names.map((name) => [name, this.make(properties[name], depth + 1)]));
  }

  #array(
    { items = true, minItems = 0, maxItems = MOST_ITEMS }: SchemaObject,
    depth: number,
  ): unknown[] {
    const most = Math.max(minItems, Math.min(maxItems, depth >= DEEPEST ? 0 : MOST_ITEMS));
    const length = minItems + (this.#draw() % (most - minItems + 1));
    return Array.from({ length }, () => this.make(items, depth + 1));
  }

  #number({ minimum, exclusiveMinimum, maximum }: SchemaObject): number {
    const least = minimum ?? (exclusiveMinimum === undefined ? undefined : exclusiveMinimum + 1);
    const low = least ?? Math.min(0, maximum ?? 0);
    const high = maximum ?? low + 100;
    return low + (this.#draw() % (Math.floor(high - low) + 1));
  }

  #string({ minLength = 0, maxLength }: SchemaObject): string {
    let text = this.#words(WORDS_IN_STRING);
    while (text.length < minLength) text += ` ${this.#words(1)}`;
    return maxLength === undefined ? text : text.slice(0, Math.max(maxLength, minLength));
  }

  #words(count: number): string {
    return Array.from({ length: count }, () => this.#pick(WORDS.noun)).join(" ");
  }

  #makeAll(schemas: readonly unknown[], depth: number): unknown {
    const made = schemas.map((schema) => this.make(schema, depth + 1));
    return made.every((value) => typeof value === "object" && value !== null)
      ? Object.assign({}, ...made)
      : made[0];
  }

  /** The alternative least likely to lead deeper. */
  #shallowest(alternatives: readonly unknown[]): unknown {
    return (
      alternatives.find((schema) => {
        const known = schemaObject.safeParse(schema);
        return known.success && known.data.$ref === undefined && known.data.type !== "object";
      }) ?? alternatives[0]
    );
  }

  /** Follow a reference within the schema: `#/$defs/name`. */
  #resolve(reference: string): unknown {
    let place: unknown = this.#root;
    for (const step of reference.split("/").slice(1)) {
      const inner = z.record(z.string(), z.unknown()).safeParse(place);
      place = inner.success ? inner.data[step.replaceAll("~1", "/").replaceAll("~0", "~")] : true;
    }
    return place;
  }

  #pick<Choice>(choices: readonly Choice[]): Choice {
    const choice = choices[this.#draw() % choices.length];
    if (choice === undefined) throw new Error("nothing to choose from");
    return choice;
  }
}
