import { z } from "zod";

const count = z.int().min(0);

/** What one version of a model is asked for. */
export const modelDemandSchema = z.object({
  model: z.string(),
  version: z.string(),
  /**
   * Jobs that should be in flight now for every promise to be kept: what a scaler divides by what one
   * engine takes. Jobs that wait or run count whole, lines of batches by their window.
   */
  demand: z.number().min(0),
  /** Jobs that wait, by who waits for them; lines of batches among `batch`. */
  waiting: z.object({ interactive: count, standard: count, batch: count }),
  /** Jobs that workers have; lines of batches among them. */
  active: count,
  batches: z.object({
    /** Batches that run. */
    open: count,
    /** Their lines without a result, those in files included. */
    lines_left: count,
    /** What those come to in `demand`. */
    demand: z.number().min(0),
  }),
});
export type ModelDemand = z.infer<typeof modelDemandSchema>;

/** What those who scale workers are told: `GET /internal/demand`. */
export const demandSchema = z.object({
  object: z.literal("demand"),
  models: z.array(modelDemandSchema),
});
export type Demand = z.infer<typeof demandSchema>;
