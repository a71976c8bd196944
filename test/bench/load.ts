import type { z } from "zod";

/** Work that a process of its own does, such as a thousand readers: its CPU is not the platform's. */
export interface Load<Task, Answer> {
  readonly name: string;
  readonly answer: z.ZodType<Answer>;
  /** Do the work, on a task as it came from another process. */
  readonly carryOut: (task: unknown) => Promise<Answer>;
  /** Check a task before it is sent; holds the task's type. */
  readonly accept: (task: Task) => Task;
}

/** Define a load by what goes into it, what comes out of it, and how. */
export function defineLoad<Task, Answer>(parts: {
  readonly name: string;
  readonly task: z.ZodType<Task>;
  readonly answer: z.ZodType<Answer>;
  readonly run: (task: Task) => Promise<Answer>;
}): Load<Task, Answer> {
  return {
    name: parts.name,
    answer: parts.answer,
    carryOut: async (task) => parts.run(parts.task.parse(task)),
    accept: (task) => parts.task.parse(task),
  };
}
