/** `npm run destroy`: tears the stack down and leaves the person's files alone. */

import { shortName } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { npmLine } from "../../text/shell.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { prepareDocker } from "../docker/install.ts";
import { requireFree } from "../docker/on-daemon.ts";
import { forgetAdopted } from "../pulumi/adopted.ts";
import { findPlaces, isStackFileThere } from "../pulumi/checkpoint.ts";
import { DATA_GOES, displayArgs, IN_HOME, removesData, removesHome } from "../pulumi/consent.ts";
import { readOutputs, type StackOutputs } from "../pulumi/outputs.ts";
import { sayStandIns } from "../pulumi/plugins.ts";
import { containersOf, finishInterrupted } from "../pulumi/reconcile.ts";
import { recover } from "../pulumi/recover.ts";
import { isLocal, isStackThere, openSession, runEngine, type Session } from "../pulumi/session.ts";
import { resourceName, type State } from "../pulumi/state.ts";
import { npmCommand } from "../stack.ts";
import { confirm } from "../ui/confirm.ts";
import { say } from "../ui/say.ts";

export async function destroy(context: Context, args: Args): Promise<number> {
  const { stack, rest, options } = args;
  const confirmed = options.yes === true;
  if (!confirmed && !context.interactive) {
    const again = npmCommand("destroy", stack, ...rest, "--yes");
    throw new UserError(`there is no terminal to ask at: confirm with \`${again}\``);
  }
  const place = findPlaces(context, stack);
  // Without the engine, which takes minutes to get.
  const session = place && !isStackFileThere(place) ? undefined : await openSession(context, args);
  if (session === undefined || !(await isStackThere(session))) {
    say(`stack ${stack}: there is nothing to tear down`);
    return 0;
  }
  sayStandIns(session);
  if (isLocal(session)) await requireDaemon(session);
  await recover(session);
  const state = await finishInterrupted(session, false);
  if (isLocal(session)) await requireFreeNetworks(session, state);
  const onAws =
    session.settings?.host === "aws" && session.host === "aws"
      ? await import("../hosts/aws/instance.ts")
      : undefined;
  const machine = await onAws?.findMachine(session, state);
  const data = onAws && (await import("../hosts/aws/volume.ts"));
  const volume = data?.dataVolumeOf(state);
  if (machine?.state === "gone") await onAws?.forgetHanging(session, state);
  const outputs = await readOutputs(session);
  const display = displayArgs(context.interactive);
  if (!confirmed) {
    const shown = await runEngine(session, "destroy", ["--preview-only", ...display]);
    if (shown !== 0) return shown;
    say(whatGoes(state));
    if (!(await confirm(`tear stack ${stack} down?`))) {
      say("nothing was changed");
      return 1;
    }
  }
  await onAws?.endStrays(session, state);
  if (machine?.adrift) await onAws?.endAdrift(session, state, machine);
  const code = await runEngine(session, "destroy", ["--yes", "--skip-preview", ...display]);
  if (code !== 0) return code;
  forgetAdopted(context, stack);
  say(data ? await data.whatStaysOnAws(session, state, volume) : whatStays(outputs, session));
  // The engine's own advice, just above, cannot be typed here, and would remove the stack's file as well.
  const forget = npmLine("pulumi", "stack", "rm", "--preserve-config", shortName(stack));
  say(`To have its history forgotten too, and keep its file: \`${forget}\``);
  return code;
}

/** Docker would keep the network, and the engine try for long, with the containers gone already. */
async function requireFreeNetworks(session: Session, state: State): Promise<void> {
  const { host } = session.docker;
  const networks = (state.deployment.resources ?? []).flatMap(({ type, id }) =>
    type === "docker:index/network:Network" && id ? [{ id }] : [],
  );
  await requireFree(host, networks, new Set((await containersOf(host, state)).map(({ Id }) => Id)));
}

/** A daemon that is only stopped is started; without one there is nothing the engine could remove. */
async function requireDaemon(session: Session): Promise<void> {
  try {
    await prepareDocker(session.context);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message}\nUntil then the containers, networks and volumes of stack ${session.stack} stay as they are. If that Docker is gone for good, forget the stack with \`${npmLine("pulumi", "stack", "rm", "--force", "--preserve-config", session.stack)}\`; your files stay either way.`,
    );
  }
}

/** What a person would miss of what goes. */
export function whatGoes({ deployment }: Pick<State, "deployment">): string {
  const { resources = [] } = deployment;
  const files = resources.some(removesData) ? DATA_GOES : "your files in code/ and data/ stay";
  const removed = resources.filter(removesHome);
  const homes = [...new Set(removed.map(({ urn }) => resourceName(urn).replace(/-home(-removal)?$/, "")))];
  return homes.length === 0
    ? files
    : `the home volume${homes.length === 1 ? "" : "s"} of ${homes.join(", ")} go${homes.length === 1 ? "es" : ""}, and with ${homes.length === 1 ? "it" : "them"} ${IN_HOME}; ${files}`;
}

function whatStays({ codeFolder, dataFolder, image }: StackOutputs, session: Session): string {
  const where = isLocal(session) ? "" : " (on its host)";
  const files = codeFolder && dataFolder ? `your files in ${codeFolder} and ${dataFolder}` : "your files";
  const left = image ? `${files}, and the image (\`docker rmi ${image}\` removes it)` : files;
  return `stack ${session.stack} is torn down. What stays${where}: ${left}.`;
}
