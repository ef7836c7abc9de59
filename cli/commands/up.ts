/** `npm start`: sets up what is missing, then `pulumi up`, then says where the notebooks are. */
import type { Context } from "../context.ts";
import { readOutputs, summary } from "../outputs.ts";
import { argsForMissing, finishInterrupted, startStopped, strangers } from "../reconcile.ts";
import { recover } from "../recover.ts";
import { formatSeconds, say } from "../say.ts";
import { prepareStack, runEngine, type Session, tryEngine } from "../session.ts";
import { parseStackArgs } from "../setup/stack.ts";
import type { State } from "../state.ts";
import { findPlaces, readLastUpdate, readStateFile, type Update } from "../state-file.ts";

export async function up(context: Context, args: string[]): Promise<number> {
  if (!(await isReady(context, args))) return 1;
  const session = await prepareStack(context, args);
  await recover(session);
  const state = await finishInterrupted(session);
  await startStopped(session, state);
  const missing = [...(await argsForMissing(session, state)), ...(await argsForMachine(session, state))];
  // The history counts in whole seconds.
  const started = Math.floor(Date.now() / 1000) * 1000;
  // Without a terminal there is nobody to look at a preview; the program checks everything before it begins.
  const unattended = context.interactive ? [] : ["--yes", "--skip-preview", "--non-interactive"];
  const code = await runUp(session, [...unattended, ...missing]);
  if (code !== 0) {
    await explainStrangers(session);
    return code;
  }
  const [update, outputs] = await Promise.all([lastUpdate(session), readOutputs(session)]);
  // The person looked at the preview and declined.
  if (!update || update.startTime < started) return code;
  if (changedNothing(update)) {
    process.stdout.write("unchanged: everything is as the configuration says; nothing to do\n");
  }
  process.stdout.write(`${summary(outputs, session.stack)}\n`);
  return code;
}

/**
 * Whether a stack that is not up yet can come up, found out before anything is downloaded or built. One that is up was looked at
 * then, and the program looks again at what it is about to change.
 */
async function isReady(context: Context, args: string[]): Promise<boolean> {
  const { stack } = parseStackArgs(args, context.env);
  const place = findPlaces(context, stack);
  const resources = place && readStateFile(place)?.deployment.resources;
  if (resources && resources.length > 0) return true;
  // Loads Pulumi's SDK.
  const { findChecks, formatChecks, summary } = await import("../doctor.ts");
  const began = performance.now();
  const checks = await findChecks(context, stack);
  const bad = checks.filter(({ status }) => status !== "ok");
  if (bad.length > 0) say(formatChecks(bad).trimEnd());
  say(`${summary(checks)} (${formatSeconds((performance.now() - began) / 1000)})`);
  return !checks.some(({ status }) => status === "fail");
}

/** What speaks to AWS is slow to load, and few need it. */
async function argsForMachine(session: Session, state: State): Promise<string[]> {
  if (session.settings?.host !== "aws") return [];
  const { wakeMachine } = await import("../aws.ts");
  return await wakeMachine(session, state);
}

async function runUp(session: Session, args: string[]): Promise<number> {
  if (session.settings?.host !== "aws") return await runEngine(session, "up", args);
  const { upWithCapacity } = await import("../capacity.ts");
  return await upWithCapacity(session, args);
}

/** Whether an update left every resource as it was. */
export function changedNothing({ kind, result, resourceChanges = {} }: Update): boolean {
  const changed = Object.entries(resourceChanges).filter(([change, count]) => change !== "same" && count > 0);
  return kind === "update" && result === "succeeded" && changed.length === 0;
}

async function lastUpdate(session: Session): Promise<Update | undefined> {
  const update = readLastUpdate(session.place);
  if (update) return update;
  const { code, stdout } = await tryEngine(session, ["stack", "history", "--json", "--page-size", "1"]);
  const [last] = code === 0 ? JSON.parse(stdout) : [];
  return last && { ...last, startTime: Date.parse(last.startTime) };
}

async function explainStrangers(session: Session): Promise<void> {
  const names = await strangers(session).catch(() => []);
  if (names.length === 0) return;
  say(
    `note: ${names.join(", ")} on this Docker daemon carr${names.length === 1 ? "ies" : "y"} the label of this stack (gpubox.stack=${session.label}) and is not in its state: another person's, or left behind. If it is yours and in the way: \`docker rm -f ${names.join(" ")}\``,
  );
}
