// @ts-check

/** A failure of the set-up that its user can act on: the message is all they need to read. */
export class SetUpError extends Error {
  /** @override */
  name = "SetUpError";

  /**
   * @param {string} message
   * @param {{ cause?: unknown, exitCode?: number }} [options]
   */
  constructor(message, { exitCode = 1, ...options } = {}) {
    super(message, options);
    /** What the process exits with. */
    this.exitCode = exitCode;
  }
}

/** Enough of a failed command's output to see why, and still fit one screen. */
const SHOWN_LINES = 15;

/**
 * Describe a command that failed: what was tried, the end of what it said, and what to do.
 *
 * @param {string} what what the command was for, as in "Fetching Node failed"
 * @param {{ command: string, output: string, otherwise?: string }} failure `otherwise` is the
 *   advice where the output shows no known cause
 * @returns {SetUpError}
 */
export function describeFailure(what, { command, output, otherwise }) {
  const lines = output.split("\n").filter(isTelling).slice(-SHOWN_LINES);
  const advice = findAdvice(output) ?? otherwise ?? "Mend what it names and run the command again.";
  return new SetUpError(
    [`${what} failed.`, `  tried: ${command}`, ...lines.map((line) => `  ${line}`), advice].join(
      "\n",
    ),
  );
}

/**
 * Leave out what only pushes the cause off the screen: empty lines, repeats, stack frames.
 *
 * @param {string} line
 * @param {number} index
 * @param {string[]} lines
 * @returns {boolean}
 */
function isTelling(line, index, lines) {
  return line.trim() !== "" && line !== lines[index - 1] && !/^\S* *(error)? +at /.test(line);
}

/**
 * Known causes by the words that npm, pnpm, apt-get, dnf, apk, pacman and brew use for them. The
 * first that matches is told, so the surest come first.
 *
 * @type {readonly (readonly [RegExp, string])[]}
 */
const CAUSES = [
  [
    /ENOSPC|no space left on device|enough (free|disk) (disk )?space/i,
    "The disk is full. Free about 1 GB and run the command again.",
  ],
  [
    /EINTEGRITY/,
    "What the registry sent is not what Headrace expects, so it was thrown away. Look for a proxy or mirror that changes packages.",
  ],
  [
    /ERR_PNPM_OUTDATED_LOCKFILE/,
    "pnpm-lock.yaml lags behind a package.json: run `pnpm install` once and commit the lockfile.",
  ],
  [
    /SELF_SIGNED_CERT|UNABLE_TO_(VERIFY|GET)|CERT_HAS_EXPIRED|certificate verif/i,
    "The registry's certificate is not trusted here. Behind a company proxy, set NODE_EXTRA_CA_CERTS to its certificate.",
  ],
  [
    /\bE40[13]\b|\b(401 Unauthorized|403 Forbidden)\b|ERR_PNPM_FETCH_40[13]/,
    "The registry refused the request. Check the registry and its token (`npm config get registry`), then run the command again.",
  ],
  [
    /\bE404\b|ETARGET|ERR_PNPM_FETCH_404|ERR_PNPM_NO_MATCHING_VERSION/,
    "The registry does not have it. If it is a mirror (`npm config get registry`), bring the mirror up to date or use another.",
  ],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|temporary failure resolving|could not (resolve|connect)|failed to fetch|error sending request|dns error/i,
    "The registry could not be reached. Check the network (and HTTPS_PROXY behind a proxy), then run the command again.",
  ],
  [
    /\b(EACCES|EPERM|EROFS)\b|permission denied|read-only file system/i,
    "This user may not write there. Give the checkout to this user (`chown -R`), or run as the one who owns it.",
  ],
];

/**
 * Name the cause that a text shows, in words that say what to do.
 *
 * @param {string} text output of a command, or the message of a system error
 * @returns {string | null}
 */
export function findAdvice(text) {
  // pnpm breaks its lines to the width of a terminal, in the middle of a phrase.
  const line = text.replaceAll(/\s+/g, " ");
  return CAUSES.find(([pattern]) => pattern.test(line))?.[1] ?? null;
}

/**
 * Do file work so that a full disk or a forbidden folder is told as such.
 *
 * @template Result
 * @param {string} what as in {@link describeFailure}
 * @param {() => Promise<Result>} work
 * @returns {Promise<Result>}
 */
export async function explainFileErrors(what, work) {
  try {
    return await work();
  } catch (error) {
    const advice = isSystemError(error) ? findAdvice(`${error.code}`) : null;
    if (advice === null || !(error instanceof Error)) throw error;
    throw new SetUpError(`${what} failed.\n  ${error.message}\n${advice}`, { cause: error });
  }
}

/**
 * @param {unknown} error
 * @returns {error is NodeJS.ErrnoException}
 */
export function isSystemError(error) {
  return error instanceof Error && "code" in error;
}
