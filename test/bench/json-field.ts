/**
 * Find a field of what may be an object. Streams are checked by hand: checking each event with a
 * schema costs more than parsing it.
 */
export function fieldOf(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
