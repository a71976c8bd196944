import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";
import { z } from "zod";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Which of our packages each package may use. Services may use any package; nobody a service. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  latency: ["contract"],
  broker: ["contract"],
  engine: ["contract"],
  storage: ["contract"],
  client: ["contract"],
  endpoints: ["broker", "contract"],
  receivers: [],
  runtime: [],
  cli: ["client", "contract", "latency", "runtime"],
  testkit: ["runtime"],
};

/** The one room through which each outside technology comes in. Tests may use what they test. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  bullmq: ["broker"],
  ioredis: ["broker", "testkit"],
  undici: ["engine", "webhooks"],
  express: ["ingress"],
  "csv-parse": ["cli"],
  hyparquet: ["cli"],
  "@fastify/busboy": ["ingress"],
  "@aws-sdk/client-s3": ["storage"],
  "@aws-sdk/s3-request-presigner": ["storage"],
  pino: ["runtime"],
  "prom-client": ["runtime"],
};

const manifestSchema = z.object({
  name: z.string(),
  dependencies: z.record(z.string(), z.string()).default({}),
  devDependencies: z.record(z.string(), z.string()).default({}),
  exports: z.record(z.string(), z.string()).default({}),
});

const rooms = ["packages", "services"].flatMap((floor) =>
  readdirSync(join(root, floor))
    .filter((name) => existsSync(join(root, floor, name, "package.json")))
    .map((name) => {
      const path = join(root, floor, name);
      const text = readFileSync(join(path, "package.json"), "utf8");
      return { floor, name, path, manifest: manifestSchema.parse(JSON.parse(text)) };
    }),
);
const services = new Set(rooms.filter(({ floor }) => floor === "services").map(({ name }) => name));

/** Every import of a room's source, tests apart, with the file that makes it. */
function importsOf(path: string): { readonly file: string; readonly target: string }[] {
  return readdirSync(join(path, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !/\.test\.ts$|(^|\/)test(ing\/|-)/.test(file))
    .flatMap((file) => {
      const text = readFileSync(join(path, "src", file), "utf8");
      const targets = text.matchAll(/^(?:import|(?:import|export)\b[^;"]*?\bfrom) "([^"]+)";$/gm);
      return [...targets].map(([, target = ""]) => ({ file, target }));
    });
}

test("there are rooms to look at", () => {
  expect(rooms.length).toBeGreaterThan(8);
});

describe.each(rooms)("$floor/$name", ({ floor, name, path, manifest }) => {
  const ours = Object.keys(manifest.dependencies)
    .filter((dependency) => dependency.startsWith("@headrace/"))
    .map((dependency) => dependency.slice("@headrace/".length));

  test("is named as its folder", () => {
    expect(manifest.name).toBe(`@headrace/${name}`);
  });

  test("depends only on what its layer may use", () => {
    const allowed = floor === "services" ? Object.keys(LAYERS) : LAYERS[name];

    expect(allowed, `packages/${name} has no layer: add it to the table`).toBeDefined();
    expect(ours.filter((dependency) => !allowed?.includes(dependency))).toEqual([]);
    expect(ours.filter((dependency) => services.has(dependency))).toEqual([]);
    expect(ours).not.toContain("testkit");
  });

  test("leaves every outside technology to its door", () => {
    const foreign = Object.keys(manifest.dependencies).filter(
      (dependency) => DOORS[dependency] !== undefined && !DOORS[dependency].includes(name),
    );

    expect(foreign).toEqual([]);
  });

  test("imports what its manifest names, by the front entrance", () => {
    const known = new Set(Object.keys(manifest.dependencies));
    const strays = importsOf(path).filter(({ target }) => {
      if (target.startsWith("node:")) return false;
      if (target.startsWith(".")) return target.startsWith("../..") || !target.endsWith(".ts");
      const [scope = "", rest = ""] = target.split("/");
      return !known.has(scope.startsWith("@") ? `${scope}/${rest}` : scope);
    });

    expect(strays).toEqual([]);
  });

  test("reads the environment through runtime alone", () => {
    if (name === "runtime") return;
    const readers = readdirSync(join(path, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .filter((file) => readFileSync(join(path, "src", file), "utf8").includes("process.env"));

    expect(readers).toEqual([]);
  });
});
