export type {
  FoundObject,
  ListOptions,
  ObjectStore,
  PutOptions,
  ReadOptions,
  StoredObject,
} from "./objects.ts";
export { openObjects } from "./open.ts";
