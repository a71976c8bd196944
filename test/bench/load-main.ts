import { z } from "zod";

import { bareAdds } from "./loads/bare-adds.ts";
import { chatStreams } from "./loads/chat-streams.ts";
import { engineCalls } from "./loads/engine-calls.ts";
import { eventReaders } from "./loads/event-readers.ts";
import { keptSubmissions } from "./loads/kept-submissions.ts";
import { numberedSubmissions } from "./loads/numbered-submissions.ts";
import { pacedCalls } from "./loads/paced-calls.ts";
import { pickUps } from "./loads/pick-ups.ts";
import { receptions } from "./loads/receptions.ts";
import { submissions } from "./loads/submissions.ts";

const orderSchema = z.strictObject({ load: z.string(), task: z.unknown() });

const carryOut = new Map<string, (task: unknown) => Promise<unknown>>(
  [
    bareAdds,
    chatStreams,
    engineCalls,
    eventReaders,
    keptSubmissions,
    numberedSubmissions,
    pacedCalls,
    pickUps,
    receptions,
    submissions,
  ].map((load) => [load.name, load.carryOut]),
);

process.on("message", (message) => {
  void obey(message).then((reply) => process.send?.(reply));
});
// Whoever gave the orders is gone.
process.on("disconnect", () => process.exit());

async function obey(message: unknown): Promise<{ answer: unknown } | { error: string }> {
  try {
    const { load, task } = orderSchema.parse(message);
    const work = carryOut.get(load);
    if (work === undefined) return { error: "there is no such load" };
    return { answer: await work(task) };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
