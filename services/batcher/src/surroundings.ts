import type { BatchBroker, KnownModel } from "@headrace/broker";

/** How often to look: both change slowly, and neither is acted on. */
const LOOK_MS = 5_000;

/** What a batch's lines meet in the queue. */
export class Surroundings {
  readonly #broker: BatchBroker;
  readonly #model: KnownModel;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #hasWorkers = true;
  #hasUrgentJobs = false;

  constructor(broker: BatchBroker, model: KnownModel) {
    this.#broker = broker;
    this.#model = model;
  }

  /** Whether any worker serves the model. */
  get hasWorkers(): boolean {
    return this.#hasWorkers;
  }

  /** Whether jobs wait that go before all batch work. */
  get hasUrgentJobs(): boolean {
    return this.#hasUrgentJobs;
  }

  /** Look again, if that is some seconds ago. @throws PlatformError `queue_unavailable` */
  async look(nowMs: number): Promise<void> {
    if (nowMs - this.#lookedAtMs < LOOK_MS) return;
    this.#lookedAtMs = nowMs;
    const [workers, hasUrgentJobs] = await Promise.all([
      this.#broker.readWorkers(this.#model),
      this.#broker.hasUrgentJobs(this.#model),
    ]);
    this.#hasWorkers = workers.some(({ version }) => version === this.#model.version);
    this.#hasUrgentJobs = hasUrgentJobs;
  }
}
