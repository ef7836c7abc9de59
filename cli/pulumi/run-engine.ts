import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stackCommand } from "../stack.ts";
import { type Captured, capture, handOver } from "../system/run.ts";
import { say } from "../ui/say.ts";
import { about, errorsOf, explain } from "./foreign-errors.ts";
import { clearLocks } from "./recover.ts";
import { inCheckout, type Session, tryEngine } from "./session.ts";
import { useCopy } from "./stack.ts";

/** Running the engine on a stack, where the person sees what it does, and explaining why it failed. */

/**
 * Runs the engine on the person's terminal, on a copy of the stack's file. Where it fails, what it said is explained as far as that is
 * known. Where a command asks, it asks: a variable that somebody set for other stacks is no yes.
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
  const folder = mkdtempSync(join(tmpdir(), "gpubox-events-"));
  const log = join(folder, "events");
  const words = onCopy(session, command, [...args, "--event-log", log]);
  const { env, cwd } = inCheckout(session);
  let isStopped = false;
  try {
    // The engine offers its log of events only to those who debug it.
    const code = await handOver(session.engine.file, words, {
      env: { ...env, PULUMI_DEBUG_COMMANDS: "true", PULUMI_SKIP_CONFIRMATIONS: undefined },
      cwd,
      onSignal: () => {
        isStopped = true;
      },
    });
    if (code === 0) return code;
    if (isStopped) {
      say(`stopped: \`${stackCommand(command, session.stack)}\` goes on`);
      return code;
    }
    const began = existsSync(log);
    // Another engine may have come first; what this one advises is to remove its lock.
    if (!began && session.place) await clearLocks(session.stack, session.place.locks);
    const events = began ? readFileSync(log, "utf8") : "";
    const said = began ? errorsOf(events) : await saidQuietly(session);
    for (const line of explain(said, about(session))) say(line);
    onFailure(events);
    return code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

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
