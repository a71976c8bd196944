/** How many commands a pass may still send: what there is to look at may be any number of things. */
export class PassBudget {
  #left: number;

  constructor(commands: number) {
    this.#left = commands;
  }

  /** Whether nothing more is to be begun: what is under way has bounds of its own. */
  get isSpent(): boolean {
    return this.#left <= 0;
  }

  spend(commands: number): void {
    this.#left -= commands;
  }
}
