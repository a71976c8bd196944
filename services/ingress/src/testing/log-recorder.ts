import type { Log } from "@headrace/runtime";

/** A log that keeps all it is told, at every level. */
export class LogRecorder implements Log {
  readonly lines: { readonly level: string; readonly fields: object; readonly message: string }[] =
    [];

  readonly debug = this.#at("debug");
  readonly info = this.#at("info");
  readonly warn = this.#at("warn");
  readonly error = this.#at("error");

  /** Everything, as text to search. Errors are written out with all they carry. */
  get text(): string {
    return JSON.stringify(this.lines, (_key, value: unknown) =>
      value instanceof Error
        ? Object.fromEntries(
            Object.getOwnPropertyNames(value).map((name) => [name, Reflect.get(value, name)]),
          )
        : value,
    );
  }

  #at(level: string): (fields: object, message: string) => void {
    return (fields, message) => this.lines.push({ level, fields, message });
  }
}
