import { z } from "zod";

import { defineLoad } from "../load.ts";
import { isAccepted, SubmitConnection, toRequest } from "./submit-connection.ts";

/**
 * Submits jobs as fast as they are accepted, until there are enough of them or the time is up.
 *
 * The generator shares two cores with what it measures, so it is as cheap as can be: the request is
 * bytes made once for each caller, and of an answer only its status and length are looked at.
 */
export const submissions = defineLoad({
  name: "submissions",
  task: z.strictObject({
    url: z.string(),
    /** Of one caller each: connections are shared out between them. */
    headers: z.array(z.record(z.string(), z.string())).min(1),
    body: z.string(),
    connections: z.int(),
    count: z.int(),
    withinMs: z.number(),
  }),
  answer: z.strictObject({ accepted: z.int(), elapsedMs: z.number() }),
  run: async ({ url, headers, body, connections, count, withinMs }) => {
    const { hostname, port, host } = new URL(url);
    const requests = headers.map((each) => toRequest({ host, ...each }, body));
    const startedAt = performance.now();
    let sent = 0;
    let accepted = 0;
    const submitInTurn = async (request: Buffer): Promise<void> => {
      const connection = await SubmitConnection.open(hostname, Number(port));
      while (sent < count && performance.now() - startedAt < withinMs) {
        sent += 1;
        const answer = await connection.exchange(request);
        if (!isAccepted(answer)) throw new Error(`not accepted: ${answer}`);
        accepted += 1;
      }
      connection.close();
    };
    const callers = Array.from(
      { length: Math.ceil(connections / requests.length) },
      () => requests,
    );
    await Promise.all(callers.flat().slice(0, connections).map(submitInTurn));
    return { accepted, elapsedMs: performance.now() - startedAt };
  },
});
