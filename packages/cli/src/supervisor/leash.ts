// Loaded into every Node process that the supervisor starts, before its own code.
import { Socket } from "node:net";

/** The pipe whose other end the supervisor holds as long as it lives. */
const LEASH_DESCRIPTOR = 3;

const leash = new Socket({ fd: LEASH_DESCRIPTOR });
// However the supervisor ends, also killed, its processes stop in an orderly way.
leash.on("close", () => process.kill(process.pid, "SIGTERM"));
leash.on("error", () => leash.destroy());
leash.resume();
// It watches; it is no reason to stay.
leash.unref();
