import type { ObjectStore } from "@headrace/storage";

type Call = "put" | "read" | "delete" | "list";

/** A real store that a test can take away, call by call. */
export class BreakableObjects implements ObjectStore {
  readonly #objects: ObjectStore;
  /** Asked before each call: what it rejects with, that call does. */
  onCall: (call: Call, key: string) => Promise<void> | void = () => {};

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  readonly put: ObjectStore["put"] = async (key, ...rest) => {
    await this.onCall("put", key);
    return this.#objects.put(key, ...rest);
  };

  readonly read: ObjectStore["read"] = async (key, ...rest) => {
    await this.onCall("read", key);
    return this.#objects.read(key, ...rest);
  };

  readonly list: ObjectStore["list"] = async (prefix, ...rest) => {
    await this.onCall("list", prefix);
    return this.#objects.list(prefix, ...rest);
  };

  readonly delete: ObjectStore["delete"] = async (key) => {
    await this.onCall("delete", key);
    return this.#objects.delete(key);
  };

  readonly find: ObjectStore["find"] = (key) => this.#objects.find(key);

  readonly sign: ObjectStore["sign"] = (...asked) => this.#objects.sign(...asked);

  readonly check: ObjectStore["check"] = () => this.#objects.check();
}
