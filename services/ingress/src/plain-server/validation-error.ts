import { PlatformError } from "@headrace/contract";
import type { z } from "zod";

import type { ValidationError } from "./shapes.ts";

type Detail = ValidationError["detail"][number];

/** A request that a FastAPI server would have answered with 422. */
export class Unprocessable extends Error {
  override readonly name = "Unprocessable";
  readonly body: ValidationError;

  constructor(detail: readonly Detail[]) {
    super("the request is not valid");
    this.body = { detail: [...detail] };
  }
}

/**
 * Check a body as FastAPI would.
 *
 * @throws Unprocessable naming every field at fault, in Pydantic's words; no value is quoted
 * @see https://docs.pydantic.dev/latest/errors/validation_errors/
 */
export function validateBody<Value>(schema: z.ZodType<Value>, body: unknown): Value {
  const parsed = schema.safeParse(body, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw new Unprocessable(parsed.error.issues.map(toDetail));
}

/** Turn a refusal of the API's own into FastAPI's, where it is about what was sent. */
export function asUnprocessable(error: unknown, place: "body" | "query"): unknown {
  if (!(error instanceof PlatformError) || error.code !== "request_invalid") return error;
  const { message, param } = error;
  // What is said of no field is said of the body's JSON.
  if (param === null)
    return new Unprocessable([{ loc: [place], msg: message, type: "json_invalid" }]);
  return new Unprocessable([
    { loc: [placeOf(param, place), param], msg: message, type: "value_error" },
  ]);
}

function placeOf(param: string, place: string): string {
  return param.startsWith("x-") ? "header" : place;
}

function toDetail(issue: z.core.$ZodIssue): Detail {
  const loc = [
    "body",
    ...issue.path.map((step) => (typeof step === "number" ? step : String(step))),
  ];
  return { loc, ...describe(issue) };
}

type Description = Pick<Detail, "type" | "msg">;

function describe(issue: z.core.$ZodIssue): Description {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined
        ? { type: "missing", msg: "Field required" }
        : (TYPES[issue.expected] ?? OBJECT);
    case "too_small":
      return typeof issue.input === "string"
        ? {
            type: "string_too_short",
            msg: `String should have at least ${issue.minimum} character`,
          }
        : {
            type: "greater_than_equal",
            msg: `Input should be greater than or equal to ${issue.minimum}`,
          };
    case "too_big":
      return describeExcess(issue);
    case "invalid_union":
    case "invalid_value":
    case "invalid_format":
    case "invalid_key":
    case "invalid_element":
    case "unrecognized_keys":
    case "not_multiple_of":
    case "custom":
      return { type: "value_error", msg: `Value error, ${issue.message}` };
  }
}

const OBJECT: Description = {
  type: "model_attributes_type",
  msg: "Input should be a valid dictionary or object to extract fields from",
};

const TYPES: Readonly<Record<string, Description>> = {
  string: { type: "string_type", msg: "Input should be a valid string" },
  number: { type: "float_type", msg: "Input should be a valid number" },
  int: {
    type: "int_from_float",
    msg: "Input should be a valid integer, got a number with a fractional part",
  },
  boolean: { type: "bool_type", msg: "Input should be a valid boolean" },
};

function describeExcess({ input, maximum }: z.core.$ZodIssueTooBig): Description {
  if (typeof input === "string") {
    return { type: "string_too_long", msg: `String should have at most ${maximum} characters` };
  }
  if (Array.isArray(input)) {
    return { type: "too_long", msg: `List should have at most ${maximum} items after validation` };
  }
  return { type: "less_than_equal", msg: `Input should be less than or equal to ${maximum}` };
}
