import type { Caller } from "./caller.ts";
import type { Exchange, Handler } from "./exchange.ts";
import type { Services } from "./services.ts";

/** Answers one kind of request with what the routes work with. */
export type Answer = (services: Services, exchange: Exchange, caller: Caller) => Promise<void>;

/** Have answers work with these services. */
export function handlersOf(services: Services): (answer: Answer) => Handler {
  return (answer) => (exchange, caller) => answer(services, exchange, caller);
}
