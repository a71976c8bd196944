export type { ObjectStore, StoredObject } from "./objects.ts";
export { openObjects } from "./open.ts";
