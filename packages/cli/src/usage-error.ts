/** A command line that cannot be understood. The message says what was wrong with it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** The command it was about, or the first word of several. */
  readonly command: string | null;

  constructor(message: string, command: string | null) {
    super(message);
    this.command = command;
  }
}
