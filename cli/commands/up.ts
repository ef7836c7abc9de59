/** `npm start`: sets up what is missing, then `pulumi up`, then says where the notebooks are. */

import { UserError } from "../../errors.ts";
import { type Args, misuse } from "../args.ts";
import { summary as checksSummary, findChecks, formatChecks } from "../checks.ts";
import type { Context } from "../context.ts";
import { makeWay } from "../docker/make-way.ts";
import { argsForBroken, findHalted, requireAnswers, startAgain } from "../docker/own-containers.ts";
import { wantedHost } from "../hosts/index.ts";
import { forgetAdopted } from "../pulumi/adopted.ts";
import {
  findPlaces,
  historyFiles,
  readLastUpdate,
  readStateFile,
  type State,
  type Update,
} from "../pulumi/checkpoint.ts";
import {
  type Consent,
  consent,
  displayArgs,
  isConfirmed,
  leaves,
  lookAhead,
  type Plan,
} from "../pulumi/consent.ts";
import { readOutputs } from "../pulumi/outputs.ts";
import { argsForMissing, finishInterrupted } from "../pulumi/reconcile.ts";
import { recover } from "../pulumi/recover.ts";
import { runEngine } from "../pulumi/run-engine.ts";
import type { Session } from "../pulumi/session.ts";
import { lastUpdate } from "../pulumi/state.ts";
import { prepareStack } from "../session.ts";
import { stackCommand } from "../stack.ts";
import { confirm } from "../ui/confirm.ts";
import { formatSeconds, say } from "../ui/say.ts";
import { summary, UNCHANGED } from "../ui/summary.ts";
import { noteStart } from "../unchanged/index.ts";
import { startNotebooks } from "./start-notebooks.ts";

/** @param inputs what the start depends on, where that is certain: remembered if it ends well */
export async function up(context: Context, args: Args, inputs?: string): Promise<number> {
  if (args.names.length > 0) return await single(context, args);
  if (!(await isReady(context, args))) return 1;
  const session = await prepareStack(context, args, true);
  await recover(session);
  const state = await finishInterrupted(session);
  const gone = await argsForMissing(session, state);
  const machine = await session.wanted.wake(session, state);
  const { looked, args: broken } = await bringBack(session, state);
  const missing = [...gone, ...machine.args, ...broken];
  const lost = [...gone, ...broken, ...(machine.isGone ? machine.args : [])];
  // What was looked at is what will be done, unless there is more to say to the engine now.
  const given = await consent(session, state, missing, lost, missing.length === 0 ? looked : undefined);
  if (given.do === "nothing") return await finish(session, true, inputs);
  const display = displayArgs(context.interactive);
  if (given.do === "show it first") {
    const shown = await runEngine(session, "preview", [...display, ...missing]);
    if (shown !== 0) return shown;
  }
  if (!(await agrees(given))) return 1;
  // Where the engine is left to ask, nobody has agreed yet.
  if (given.do !== "let the engine ask" || isConfirmed(session)) {
    await makeWay(session, state, missing);
    await machine.first?.();
  } else if (machine.first) {
    throw new UserError(
      `that has to be agreed to first: run \`${stackCommand("up", session.stack)}\` without further arguments`,
    );
  }
  const before = historyFiles(session.place);
  // The history counts in whole seconds.
  const started = Math.floor(Date.now() / 1000) * 1000;
  const asked =
    given.do === "let the engine ask" && !isConfirmed(session) ? [] : ["--yes", "--skip-preview", ...display];
  const code = await session.wanted.up(session, [...asked, ...missing]);
  if (code !== 0) return code;
  forgetAdopted(context, session.stack);
  const update = await updateSince(session, before, started);
  // The person looked at the preview and declined.
  if (!update) return code;
  return await finish(session, changedNothing(update), inputs);
}

/** Starts the notebooks that are named. */
async function single(context: Context, args: Args): Promise<number> {
  if (args.rest.length > 0)
    throw misuse("up", `with the name of a notebook it runs no engine, and takes no ${args.rest[0]}`);
  return await startNotebooks(context, args);
}

/**
 * Starts what is stopped and stays as it is: what is to be replaced may be so because it cannot start.
 *
 * @returns what the engine was asked for that, and arguments that have it make anew what cannot be started
 */
async function bringBack(
  session: Session,
  state: State,
): Promise<{ looked?: () => Promise<Plan>; args: string[] }> {
  const halted = await findHalted(session, state);
  if (halted.length === 0) return { args: [] };
  // Without a refresh, which takes what is stopped for changed.
  const plan = await lookAhead(session, []);
  const unchanged = halted.filter(({ urn }) => leaves(plan, urn));
  return { looked: async () => plan, args: argsForBroken(await startAgain(session, unchanged)) };
}

/** Whether a person accepts what would be lost, or paid for. */
async function agrees({ do: how, losses }: Consent): Promise<boolean> {
  if (losses.length > 0) say(losses.map(({ what }) => what).join("\n"));
  if (how === "let the engine ask" || (losses.length === 0 && how === "go ahead")) return true;
  const agreed = await confirm("go on?");
  if (!agreed) say("nothing was changed");
  return agreed;
}

async function finish(session: Session, isUnchanged: boolean, inputs: string | undefined): Promise<number> {
  const { context, stack } = session;
  const [outputs] = await Promise.all([readOutputs(session), requireAnswers(session)]);
  if (inputs) await noteStart(context, stack, inputs);
  if (isUnchanged) process.stdout.write(`${UNCHANGED}\n`);
  process.stdout.write(`${summary(outputs, stack)}\n`);
  return 0;
}

/**
 * Whether a stack that is not up yet can come up, found out before anything is downloaded or built. One that is up was looked at
 * then, and the program looks again at what it is about to change.
 */
async function isReady(context: Context, args: Args): Promise<boolean> {
  const { stack } = args;
  const place = findPlaces(context, stack);
  if (readStateFile(place)?.deployment.resources?.length) return true;
  let began = performance.now();
  let checks = await findChecks(context, stack);
  const hasFailed = () => checks.some(({ status }) => status === "fail");
  if (!hasFailed() && (await (await wantedHost({ context, stack })).install(context))) {
    began = performance.now();
    checks = await findChecks(context, stack);
  }
  const bad = checks.filter(({ status }) => status !== "ok");
  if (bad.length > 0) say(formatChecks(bad).trimEnd());
  say(`${checksSummary(checks)} (${formatSeconds((performance.now() - began) / 1000)})`);
  return !hasFailed();
}

/** What a run noted in the history: by its file, or, where that is none, by the clock. */
async function updateSince(session: Session, before: string[], started: number): Promise<Update | undefined> {
  if (session.place) return readLastUpdate(session.place, before);
  const update = await lastUpdate(session);
  return update && update.startTime >= started ? update : undefined;
}

/** Whether an update left every resource as it was. */
export function changedNothing({ kind, result, resourceChanges = {} }: Update): boolean {
  const changed = Object.entries(resourceChanges).filter(([change, count]) => change !== "same" && count > 0);
  return kind === "update" && result === "succeeded" && changed.length === 0;
}
