/** What the person reads while something is done. It goes to stderr: stdout is for results. */

import { inLine, legible } from "../../text/legible.ts";
import { type Expected, timeLeft } from "../system/time-left.mjs";

/** Something that goes on. */
interface Going {
  what: string;
  /** When it began, by the clock of `performance`, in milliseconds. */
  since: number;
  /** How far it is, by what it tells itself. */
  detail: string;
  expected: Expected | undefined;
}

/** What goes on, in the order in which it began. */
const going: Going[] = [];

/** The step whose line is the last and has no end yet; on a terminal, that line is of all that goes on. */
let onLine: Going | undefined;

function write(text: string): void {
  process.stderr.write(text);
}

function closeLine(): void {
  if (onLine) write("\n");
  onLine = undefined;
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

/** How long a step goes on, how far it is, and how much longer it is expected to take. */
function progress({ since, detail, expected }: Going, soFar = ""): string {
  const elapsed = (performance.now() - since) / 1000;
  const left = expected && timeLeft(elapsed, expected);
  return [`${formatSeconds(elapsed)}${soFar}`, left, detail].filter(Boolean).join(", ");
}

function tick(step: Going): void {
  if (!process.stderr.isTTY) say(`${step.what}: ${progress(step, " so far")}`);
  // What was said meanwhile has ended the line; nothing is written over that.
  else if (onLine) write(`\r${live()}${CLEAR_REST}`);
}

/** The line of all that goes on, as wide as the terminal at most. */
function live(): string {
  const { columns = 80 } = process.stderr;
  const [first, ...others] = going as [Going, ...Going[]];
  const line =
    others.length === 0
      ? `${open(first.what)}${progress(first)}`
      : going.map((step) => `${step.what.split(": ")[0]} ${progress(step)}`).join(" · ");
  return line.length < columns ? line : `${line.slice(0, columns - 2)}…`;
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
 * Where several go on at once, each has its line at its end, and until then a terminal has one line of all of them.
 *
 * @param about for example "engine: building it from the Go module (5 to 8 minutes)"; with others, what it is comes before the colon
 * @param action is given what tells how far it is, in a few words
 * @param outcome what came of it, in a few words
 * @param expected how long it is expected to take, where that is known
 */
export async function step<T>(
  about: string,
  action: (tell: (detail: string) => void) => Promise<T>,
  outcome: (value: T) => string = () => "done",
  expected?: Expected,
): Promise<T> {
  const me: Going = { what: inLine(about), since: performance.now(), detail: "", expected };
  const interrupt = () => {
    finish("stopped");
    say("stopped: the same command again goes on");
    process.exit(INTERRUPTED);
  };
  process.once("SIGINT", interrupt);
  closeLine();
  write(open(me.what));
  going.push(me);
  onLine = me;
  // Nothing is silent for long: on a terminal the seconds count up in their place, in a log there is a line now and then.
  const ticker = setInterval(() => tick(me), process.stderr.isTTY ? TICK.terminal : TICK.log);
  const finish = (result: string) => {
    clearInterval(ticker);
    going.splice(going.indexOf(me), 1);
    end(me, `${inLine(result)} (${formatSeconds((performance.now() - me.since) / 1000)})`);
  };
  try {
    const value = await action((detail) => {
      me.detail = inLine(detail);
    });
    finish(outcome(value));
    return value;
  } catch (error) {
    finish("failed");
    throw error;
  } finally {
    process.off("SIGINT", interrupt);
  }
}

/** Ends a step's line with its result, or gives it a line where another is the last. */
function end(step: Going, result: string): void {
  const { isTTY } = process.stderr;
  if (isTTY && onLine) write(`\r${CLEAR_REST}${step.what} … ${result}\n`);
  else if (onLine === step) write(`${result}\n`);
  else {
    closeLine();
    write(`${step.what}: ${result}\n`);
  }
  onLine = undefined;
  const [next] = going;
  if (!isTTY || !next) return;
  // What still goes on is seen to do so.
  write(live());
  onLine = next;
}
