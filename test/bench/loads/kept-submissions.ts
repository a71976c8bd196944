import { z } from "zod";

import { defineLoad } from "../load.ts";
import { isAccepted, SubmitConnection, toRequest } from "./submit-connection.ts";

const keptSchema = z.strictObject({
  ids: z.array(z.string()),
  latenciesMs: z.array(z.number()),
  elapsedMs: z.number(),
});
/** Which jobs were accepted, and how long each took. */
export type Kept = z.infer<typeof keptSchema>;

/**
 * Submits jobs until the time is up, and tells which were accepted and how long each took. A
 * connection stops at its first refusal: whoever counts losses has broken something by then.
 */
export const keptSubmissions = defineLoad({
  name: "kept-submissions",
  task: z.strictObject({
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    body: z.string(),
    connections: z.int(),
    withinMs: z.number(),
  }),
  answer: keptSchema,
  run: async ({ url, headers, body, connections, withinMs }) => {
    const { hostname, port, host } = new URL(url);
    const request = toRequest({ host, ...headers }, body);
    const startedAt = performance.now();
    const ids: string[] = [];
    const latenciesMs: number[] = [];
    const submitInTurn = async (): Promise<void> => {
      const connection = await SubmitConnection.open(hostname, Number(port));
      while (performance.now() - startedAt < withinMs) {
        const sentAt = performance.now();
        const answer = await connection.exchange(request);
        if (!isAccepted(answer)) break;
        latenciesMs.push(performance.now() - sentAt);
        ids.push(/"id":"(job_\w+)"/.exec(answer)?.[1] ?? "");
      }
      connection.close();
    };
    await Promise.all(Array.from({ length: connections }, submitInTurn));
    return { ids, latenciesMs, elapsedMs: performance.now() - startedAt };
  },
});
