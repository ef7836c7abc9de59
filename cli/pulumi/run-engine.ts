import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shortName } from "../../config/stack-file.ts";
import { stackCommand } from "../stack.ts";
import { type Captured, capture, handOver } from "../system/run.ts";
import { closeRunLog, openRunLog, type RunLog } from "../system/run-log.ts";
import { Progress } from "../ui/progress.ts";
import { follow } from "../ui/progress-view.ts";
import { say } from "../ui/say.ts";
import { about, errorsOf, explain } from "./foreign-errors.ts";
import { clearLocks } from "./recover.ts";
import { inCheckout, type Session, tryEngine } from "./session.ts";
import { useCopy } from "./stack.ts";

/** Running the engine on a stack, telling the person what it does, and explaining why it failed. */

/** Options by which a person asks for the engine's own words. */
const SHOWS = /^--(diff|json|debug|logtostderr|show-[\w-]+)(=|$)/;

/** A run of the engine, as far as it is over. */
interface Ended {
  code: number;
  isStopped: boolean;
  /** What it did, as a JSON object a line; undefined where it gave up before it began. */
  events: string | undefined;
  /** What it said is there, where it was not shown. */
  log?: string | undefined;
  /** Why it failed, by its own words, where those were not shown. */
  failure: string[];
}

/**
 * Runs the engine on a copy of the stack's file. What it does is told in a few lines, and what it says is kept in a log; its own
 * display is shown where it asks, where that is what the person wants to see, and where nothing else is done. Where it fails, what it
 * said is explained as far as that is known. Where a command asks, it asks: a variable that somebody set for other stacks is no yes.
 *
 * @param command one that works on resources: `up`, `preview`, `refresh` or `destroy`
 * @param onFailure is given what the engine did, as a JSON object a line; nothing where it gave up before it began
 * @returns its exit status
 */
export async function runEngine(
  session: Session,
  command: string,
  args: string[],
  onFailure: (events: string) => void = () => {},
): Promise<number> {
  const { code, isStopped, events, log, failure } = await run(session, command, args);
  if (code === 0) return code;
  if (isStopped) {
    say(`stopped: \`${stackCommand(command, session.stack)}\` goes on`);
    return code;
  }
  // Another engine may have come first; what this one advises is to remove its lock.
  if (events === undefined && session.place) await clearLocks(session.stack, session.place.locks);
  for (const line of failure) say(line);
  const said =
    events !== undefined ? errorsOf(events) : log ? readFileSync(log, "utf8") : await saidQuietly(session);
  for (const line of explain(said, about(session))) say(line);
  if (log) say(`all that the engine said: ${log}`);
  onFailure(events ?? "");
  return code;
}

async function run(session: Session, command: string, args: string[]): Promise<Ended> {
  const folder = mkdtempSync(join(tmpdir(), "gpubox-events-"));
  const noted = join(folder, "events");
  const words = onCopy(session, command, [...args, "--event-log", noted]);
  const isShown = session.verbose || isToBeSeen(command, words);
  const log = isShown
    ? undefined
    : openRunLog(session.context.cache, `${shortName(session.stack)}-${command}`);
  try {
    const progress = new Progress(command, Date.now());
    const end = log ? follow(noted, progress) : () => {};
    const outcome = await handOverEngine(session, log ? [...words, "--non-interactive"] : words, log).finally(
      end,
    );
    const events = existsSync(noted) ? readFileSync(noted, "utf8") : undefined;
    if (!log) return { ...outcome, events, failure: [] };
    const told = progress.failure();
    return { ...outcome, events, log: log.file, failure: told.length > 0 ? told : lastLines(log.file) };
  } finally {
    if (log) closeRunLog(log);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether the engine's own display is what a run is for, or it asks there. */
function isToBeSeen(command: string, words: string[]): boolean {
  return (
    command === "preview" ||
    words.includes("--preview-only") ||
    !words.some((word) => word === "--yes" || word === "--skip-preview") ||
    words.some((word) => SHOWS.test(word))
  );
}

async function handOverEngine(
  session: Session,
  words: string[],
  log: RunLog | undefined,
): Promise<Pick<Ended, "code" | "isStopped">> {
  const { env, cwd } = inCheckout(session);
  let isStopped = false;
  // The engine offers its log of events only to those who debug it.
  const code = await handOver(session.engine.file, words, {
    env: { ...env, PULUMI_DEBUG_COMMANDS: "true", PULUMI_SKIP_CONFIRMATIONS: undefined },
    cwd,
    output: log?.descriptor,
    onSignal: () => {
      isStopped = true;
    },
  });
  return { code, isStopped };
}

/** Of what the engine said where it does not say why it failed. */
const LAST = 15;

const lastLines = (file: string): string[] => readFileSync(file, "utf8").trim().split("\n").slice(-LAST);

/** What keeps the engine from beginning, which it has told the person alone: it says the same again of a question about the stack. */
async function saidQuietly(session: Session): Promise<string> {
  const { code, stderr } = await tryEngine(session, ["stack", "output", "--show-secrets"]);
  return code === 0 ? "" : stderr;
}

/** What the engine would do, as it tells programs. A failure is an answer. */
export function planQuietly(session: Session, args: string[]): Promise<Captured> {
  const options = ["--json", "--non-interactive", ...args];
  const rest = session.rest.filter((arg) => !NOT_AHEAD.includes(arg));
  return capture(session.engine.file, onCopy({ ...session, rest }, "preview", options), inCheckout(session));
}

/** Options of `pulumi up` that `pulumi preview` does not know, or by which it takes what is stopped for changed. */
const NOT_AHEAD = ["--yes", "--skip-preview", "--continue-on-error", "--refresh"];

/** The arguments of a command that reads the stack's file, and may write into it. */
function onCopy(session: Session, command: string, args: string[]): string[] {
  const copy = useCopy(session.context, session.stack, [...args, ...session.rest]);
  return [command, ...args, ...copy, ...session.rest];
}
