import { VERSION } from "./plain-routes.ts";
import { startEngineSim } from "./server.ts";
import { type EngineSimSettings, FLAG_NAMES, readCommandLine } from "./settings.ts";

const command = readCommandLine(process.argv.slice(2));
switch (command.ask) {
  case "version":
    process.stdout.write(`${VERSION}\n`);
    break;
  case "help":
    process.stdout.write(`engine-sim ${FLAG_NAMES.join(" ")}\n`);
    break;
  case "impossible":
    fail(command.faults);
    break;
  case "serve":
    await serve(command.settings);
    break;
}

async function serve(settings: EngineSimSettings): Promise<void> {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  try {
    const engine = await startEngineSim(settings, stop.signal);
    stop.signal.addEventListener("abort", () => void engine.close());
    process.stdout.write(`${JSON.stringify({ event: "listening", port: engine.port })}\n`);
    if (stop.signal.aborted) await engine.close();
  } catch (error) {
    if (stop.signal.aborted) return;
    fail([`engine-sim cannot start: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

function fail(faults: readonly string[]): void {
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  process.exitCode = 1;
}
