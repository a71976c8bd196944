const SENTENCE =
  "A headrace is the channel that carries water to a turbine; it fills as it flows. ";

/**
 * Make a prompt of about so many tokens (engine-sim's: some three characters each) that differs from
 * any other number's in its first words, so that no engine finds it in its prefix cache.
 */
export function numberedPrompt(number: number, tokens: number): string {
  const length = tokens * CHARACTERS_PER_TOKEN;
  const head = `Case ${String(number).padStart(7, "0")}: `;
  return head + SENTENCE.repeat(Math.ceil(length / SENTENCE.length)).slice(0, length);
}

/** Of `SENTENCE`, as engine-sim counts. */
const CHARACTERS_PER_TOKEN = 3.2;
