import * as fc from "fast-check";
import { describe, expect } from "vitest";

import { allOperations } from "./reference/document.ts";
import { ingressTest } from "./testing/ingress-test.ts";
import {
  isOperators,
  operatorCase,
  TENANCY_CASES,
  type TenancyCase,
} from "./testing/tenancy-cases.ts";
import { callAs, leaksIn, MALFORMED, mask, Side, UNKNOWN, type IdKind } from "./testing/tenancy.ts";

/** A hundred calls and more, on a machine that may be busy. */
const TEST_MS = 30_000;
/** Ids drawn for each place of each route, each way between two tenants. */
const RUNS = 12;
const HELD_RUNS = 3;

const test = ingressTest.extend("sides", async ({ client, worker }) =>
  Side.makeAll(client, worker, ["north", "south"]),
);

const ROUTES = allOperations({ hasMetrics: false })
  .filter(({ isOpen }) => isOpen !== true)
  .map(({ method, path }) => ({ method, path, name: `${method} ${path}` }));

describe("what is one tenant's is nobody else's", () => {
  test.for(ROUTES)("on $name", { timeout: TEST_MS }, async ({ method, path, name }, { sides }) => {
    const each = isOperators(path) ? operatorCase(path) : TENANCY_CASES[name];
    if (each === undefined) throw new Error(`${name} has no case: add it to TENANCY_CASES`);
    for (const side of sides) await each.whenReady?.(side);
    const before = await snapshot(sides);

    for (const [caller, other] of pairsOf(sides)) {
      for (const place of each.calls) {
        await fc.assert(
          fc.asyncProperty(drawIds(each.ids, caller, other), async (drawn) => {
            const ids = await refresh(each, drawn, { caller, other });
            const answers = await Promise.all(
              Object.entries(ids).map(async ([kind, id]) => {
                const call = place(id, other);
                const isHeld = each.held === "all" || each.held === kind;
                const outcome = await callAs(caller, method, { ...call, isHeld });
                expect(leaksIn(outcome, other, call), `${kind} ${call.path}`).toEqual([]);
                expect(outcome.status, `${kind} ${call.path}`).toBeLessThan(500);
                if (isOperators(path)) expect(outcome.status).toBe(403);
                if (!isHeld) expect(outcome.status, `${kind} ${call.path}`).not.toBe(0);
                return [kind, mask(outcome, id)] as const;
              }),
            );
            const { foreign, unknown } = Object.fromEntries(answers);
            expect(foreign).toBe(unknown);
          }),
          { numRuns: each.held === undefined ? RUNS : HELD_RUNS },
        );
      }
    }

    expect(await snapshot(sides)).toEqual(before);
  });
});

/** The ids that one route is called with, side by side. */
interface DrawnIds {
  readonly own: string;
  readonly foreign: string;
  readonly unknown: string;
  readonly malformed: string;
}

function drawIds(kind: IdKind, caller: Side, other: Side): fc.Arbitrary<DrawnIds> {
  return fc.constantFrom(...other.ids[kind]).chain((foreign) =>
    fc.record({
      own: fc.constantFrom(...caller.ids[kind]),
      foreign: fc.constant(foreign),
      unknown: UNKNOWN[kind](foreign),
      malformed: MALFORMED,
    }),
  );
}

/** Make anew what the route uses up. */
async function refresh(
  { ids, usesUp }: TenancyCase,
  drawn: DrawnIds,
  { caller, other }: { readonly caller: Side; readonly other: Side },
): Promise<DrawnIds> {
  if (ids === "key" || ids === "tenant" || ids === "delivery") return drawn;
  if (usesUp === "own") return { ...drawn, own: await caller.makeAnew(ids) };
  return usesUp === "foreign" ? { ...drawn, foreign: await other.makeAnew(ids) } : drawn;
}

/** Each tenant with each other one. */
function pairsOf(sides: readonly Side[]): (readonly [Side, Side])[] {
  return sides.flatMap((caller) =>
    sides.filter((other) => other !== caller).map((other) => [caller, other] as const),
  );
}

/** What each tenant had before: nobody may have changed it. */
async function snapshot(sides: readonly Side[]): Promise<unknown> {
  return Promise.all(
    sides.flatMap((side) =>
      side.firstJobs.map(async (id) => {
        const { status, body } = await side.client.call("GET", `/v1/jobs/${id}`);
        return [status, body["id"], body["status"], body["result"], body["metadata"]];
      }),
    ),
  );
}
