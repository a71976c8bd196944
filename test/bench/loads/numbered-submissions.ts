import { z } from "zod";

import { defineLoad } from "../load.ts";
import { numberedPrompt } from "./numbered-prompt.ts";
import { isAccepted, SubmitConnection, toRequest } from "./submit-connection.ts";

const CONNECTIONS = 16;

/** Submits so many jobs of a class, no two with the same prompt. */
export const numberedSubmissions = defineLoad({
  name: "numbered-submissions",
  task: z.strictObject({
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    model: z.string(),
    promptTokens: z.int(),
    outputTokens: z.int(),
    priority: z.enum(["interactive", "standard", "batch"]),
    count: z.int(),
    firstNumber: z.int(),
  }),
  answer: z.strictObject({ accepted: z.int() }),
  run: async (task) => {
    const { hostname, port, host } = new URL(task.url);
    let sent = 0;
    const submitInTurn = async (): Promise<void> => {
      const connection = await SubmitConnection.open(hostname, Number(port));
      while (sent < task.count) {
        const number = task.firstNumber + sent;
        sent += 1;
        const body = JSON.stringify({
          endpoint: "/v1/chat/completions",
          priority: task.priority,
          request: {
            model: task.model,
            messages: [{ role: "user", content: numberedPrompt(number, task.promptTokens) }],
            max_tokens: task.outputTokens,
            ignore_eos: true,
          },
        });
        const answer = await connection.exchange(toRequest({ host, ...task.headers }, body));
        if (!isAccepted(answer)) throw new Error(`not accepted: ${answer}`);
      }
      connection.close();
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, submitInTurn));
    return { accepted: sent };
  },
});
