/** `npm run destroy`: tears the stack down and leaves the person's files alone. */

import { shortName } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { TYPE } from "../../machine/resource-types.ts";
import { commandLine } from "../../text/command-line.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { forgetAdopted } from "../pulumi/adopted.ts";
import { findPlaces, isStackFileThere, type State, type StateResource } from "../pulumi/checkpoint.ts";
import { DATA_GOES, displayArgs, IN_HOME, isOnAws, removesData, removesHome } from "../pulumi/consent.ts";
import { readOutputs, type StackOutputs } from "../pulumi/outputs.ts";
import { sayStandIns } from "../pulumi/plugins.ts";
import { finishInterrupted } from "../pulumi/reconcile.ts";
import { recover } from "../pulumi/recover.ts";
import { runEngine } from "../pulumi/run-engine.ts";
import { isStackThere } from "../pulumi/session.ts";
import { resourceName } from "../pulumi/urn.ts";
import { openSession } from "../session.ts";
import { stackCommand } from "../stack.ts";
import { confirm } from "../ui/confirm.ts";
import { say } from "../ui/say.ts";

export async function destroy(context: Context, args: Args): Promise<number> {
  const { stack, rest, options } = args;
  const confirmed = options.yes === true;
  if (!confirmed && !context.interactive) {
    const again = stackCommand("destroy", stack, ...rest, "--yes");
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
  const { host } = session;
  await host.readyToTearDown(session);
  await recover(session);
  const state = await finishInterrupted(session, false);
  const { first, whatStays } = await host.tearDown(session, state);
  const outputs = await readOutputs(session);
  const display = displayArgs(context.interactive);
  if (!confirmed) {
    // Who says how it is to be done, of what part perhaps, sees what that comes to.
    const shown = rest.length > 0 ? await runEngine(session, "destroy", ["--preview-only", ...display]) : 0;
    if (shown !== 0) return shown;
    say([...whatIsRemoved(state), whatGoes(state), ...whatIsKept(outputs)].join("\n"));
    if (!(await confirm(`tear stack ${stack} down?`))) {
      say("nothing was changed");
      return 1;
    }
  }
  await first();
  const code = await runEngine(session, "destroy", ["--yes", "--skip-preview", ...display]);
  if (code !== 0) return code;
  forgetAdopted(context, stack);
  say(await whatStays(outputs));
  // The engine's own advice, just above, cannot be typed here, and would remove the stack's file as well.
  const forget = commandLine("pulumi", "stack", "rm", "--preserve-config", shortName(stack));
  say(`To have its history forgotten too, and keep its file: \`${forget}\``);
  return code;
}

/** What is removed that can be made again, in lines. */
export function whatIsRemoved({ deployment }: Pick<State, "deployment">): string[] {
  const resources = (deployment.resources ?? []).filter((each) => !each.delete);
  const of = (type: string) => resources.filter((each) => each.type === type);
  const names = (type: string) => of(type).map(({ inputs, id }) => String(inputs?.name ?? id));
  const notebooks = names(TYPE.container);
  const machines = of(TYPE.instance).map(({ id }) => id);
  const isOther = (each: StateResource) =>
    isOnAws(each.type) && each.type !== TYPE.instance && !each.retainOnDelete && !removesData(each);
  const rest = resources.filter(isOther).length;
  return [
    ...(notebooks.length > 0
      ? [
          `removed: the notebook${notebooks.length === 1 ? "" : "s"} ${notebooks.join(", ")}, with what kernels have in memory`,
        ]
      : []),
    ...names(TYPE.network).map((name) => `removed: the network ${name}`),
    ...machines.map((id) => `removed: the machine ${id}, with its system disk`),
    ...(rest > 0 ? [`removed: ${rest} other thing${rest === 1 ? "" : "s"} of the stack on AWS`] : []),
  ];
}

/** What stays beside files, in lines. */
const whatIsKept = ({ image }: StackOutputs) => (image ? [`the image ${image} stays`] : []);

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
