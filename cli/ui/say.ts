/** What the person reads while something is done. It goes to stderr: stdout is for results. */

import { inLine, legible } from "../../text/legible.ts";

let lineIsOpen = false;

function write(text: string): void {
  process.stderr.write(text);
}

function closeLine(): void {
  if (lineIsOpen) write("\n");
  lineIsOpen = false;
}

/** A line of its own. What others wrote may be in it. */
export function say(message: string): void {
  closeLine();
  write(`${legible(message)}\n`);
}

/** `95.4` as people say it: "1 min 35 s". */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** How often a long step says that it goes on, in milliseconds. */
export const TICK = { terminal: 1_000, log: 30_000 };

/** Ends a line that is written over: a terminal clears what is right of here. */
const CLEAR_REST = "\u001b[K";

function tick(what: string, elapsed: string): void {
  if (!process.stderr.isTTY) say(`${what}: ${elapsed} so far`);
  // What was said meanwhile has ended the line; nothing is written over that.
  else if (lineIsOpen) write(`\r${open(what)}${elapsed}${CLEAR_REST}`);
}

/** The exit status after Ctrl-C, as a shell has it. */
const INTERRUPTED = 130;

/** Room for what a step comes to, in columns: "done (12 min 59 s)". */
const OUTCOME = 20;

/** The beginning of a step's line. What is longer than a terminal is wide cannot be written over, so it is cut there. */
function open(what: string): string {
  const { isTTY, columns = 80 } = process.stderr;
  const room = Math.max(columns - OUTCOME, OUTCOME);
  return isTTY && what.length > room ? `${what.slice(0, room - 2)}… … ` : `${what} … `;
}

/**
 * Does something that takes a while, in one line that says what and, at its end, how long it took.
 *
 * @param about for example "engine: building it from the Go module (5 to 8 minutes)"
 * @param outcome what came of it, in a few words
 */
export async function step<T>(
  about: string,
  action: () => Promise<T>,
  outcome: (value: T) => string = () => "done",
): Promise<T> {
  const what = inLine(about);
  const started = performance.now();
  const interrupt = () => {
    finish("stopped");
    say("stopped: the same command again goes on");
    process.exit(INTERRUPTED);
  };
  process.once("SIGINT", interrupt);
  closeLine();
  write(open(what));
  lineIsOpen = true;
  // Nothing is silent for long: on a terminal the seconds count up in their place, in a log there is a line now and then.
  const ticker = setInterval(
    () => tick(what, formatSeconds((performance.now() - started) / 1000)),
    process.stderr.isTTY ? TICK.terminal : TICK.log,
  );
  const finish = (result: string) => {
    clearInterval(ticker);
    if (process.stderr.isTTY && lineIsOpen) write(`\r${what} … ${CLEAR_REST}`);
    const took = formatSeconds((performance.now() - started) / 1000);
    // What was said meanwhile has ended the line.
    write(lineIsOpen ? `${inLine(result)} (${took})\n` : `${what}: ${inLine(result)} (${took})\n`);
    lineIsOpen = false;
  };
  try {
    const value = await action();
    finish(outcome(value));
    return value;
  } catch (error) {
    finish("failed");
    throw error;
  } finally {
    process.off("SIGINT", interrupt);
  }
}
