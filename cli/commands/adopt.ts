/** `npm run adopt`: takes over what a stack has on its Docker daemon, where the state that had it is lost. */
import { randomBytes } from "node:crypto";
import { stackId } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { type Holdings, isOwn } from "../../machine/owner.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { clearAway, everything, type Found, list } from "../docker/on-daemon.ts";
import { wantedHost } from "../hosts/index.ts";
import { keepAdopted } from "../pulumi/adopted.ts";
import { stateHoldings } from "../pulumi/checkpoint.ts";
import { isStackThere, makeStack, type Session } from "../pulumi/session.ts";
import { readState } from "../pulumi/state.ts";
import { openSession } from "../session.ts";
import { stackCommand } from "../stack.ts";
import { confirm } from "../ui/confirm.ts";
import { say } from "../ui/say.ts";

export async function adopt(context: Context, args: Args): Promise<number> {
  const { stack, options } = args;
  const { docker } = await (await wantedHost({ context, stack })).reach({ context, stack });
  const { host } = docker;
  const id = stackId(context.root, stack);
  const session = await openSession(context, { stack, rest: [] });
  const holdings = await holdingsOf(session);
  if (holdings.owner !== undefined || holdings.names.size > 0) {
    throw new UserError(
      `adopt: stack ${stack} already has a state, so there is nothing to take over: run \`${stackCommand("up", stack)}\``,
    );
  }
  const all = await everything(host);
  const named = all.filter((each) => each.stack === id && !isOwn(each, { stack: id, holdings }));
  // A stack that was renamed has things of its old name as well: by what its containers have mounted.
  const isTied = (one: Found, other: Found) =>
    one.mounts.includes(other.name) || other.mounts.includes(one.name);
  const found = all.filter((each) => named.some((one) => one === each || isTied(one, each)));
  if (found.length === 0) {
    say(`adopt: stack ${stack} has nothing on the Docker daemon: run \`${stackCommand("up", stack)}\``);
    return 0;
  }
  refuseRenamed(found, id);
  const owner = ownerOf(found, stack);
  say(describe(found, stack));
  if (!options.yes && !context.interactive) {
    throw new UserError(
      `adopt: there is no terminal to ask at: confirm with \`${stackCommand("adopt", stack, "--yes")}\``,
    );
  }
  if (!options.yes && !(await confirm("is all of this yours, and is its state lost?"))) {
    say("nothing was changed");
    return 1;
  }
  // What keeps the stack from being made is said while all of it is still there.
  await makeStack(session);
  await clearAway(host, found);
  const volumes = found.filter(({ kind }) => kind === "volume");
  keepAdopted(context, stack, { owner, names: volumes.map(({ kind, name }) => `${kind}/${name}`) });
  say(`took over stack ${stack}: continue with \`${stackCommand("up", stack)}\``);
  return 0;
}

/** What a stack has by its state; nothing where it has none. */
async function holdingsOf(session: Session): Promise<Holdings> {
  const state = (await isStackThere(session)) ? await readState(session) : undefined;
  return stateHoldings(state ?? { version: 0, deployment: {} });
}

/** The owner of what was found. @throws UserError where that is more than one */
function ownerOf(found: Found[], stack: string): string {
  const owners = [...new Set(found.flatMap(({ owner }) => owner ?? []))];
  if (owners.length <= 1) return owners[0] ?? randomBytes(8).toString("hex");
  const lines = owners.map((owner) => {
    const its = found.filter((each) => each.owner === owner);
    const madeBy = its.flatMap((each) => each.madeBy ?? [])[0] ?? "owner unknown";
    return `  ${owner} (${madeBy}): ${list(its)}`;
  });
  throw new UserError(
    [
      `adopt: more than one state has a stack ${stack} here, and gpubox cannot tell which is yours:`,
      ...lines,
    ].join("\n"),
  );
}

/** @throws UserError where its volumes have the name that the stack had before, under which alone they are gone on with */
export function refuseRenamed(found: Pick<Found, "kind" | "stack">[], id: string): void {
  const [project, name] = id.split("/");
  const old = found.find(({ kind, stack }) => kind === "volume" && stack !== id)?.stack;
  if (old === undefined) return;
  const [projectBefore, before = ""] = old.split("/");
  if (projectBefore !== project) {
    throw new UserError(
      `adopt: the home volumes of stack ${name} were created in project ${projectBefore} and can only be used under that name: in Pulumi.yaml, replace \`name: ${project}\` with \`name: ${projectBefore}\`, then run \`${stackCommand("adopt", before)}\``,
    );
  }
  throw new UserError(
    `adopt: the home volumes of stack ${name} of ${project} were created under the name ${before} and can only be used under it: run \`mv Pulumi.${name}.yaml Pulumi.${before}.yaml\`, then \`${stackCommand("adopt", before)}\``,
  );
}

function describe(found: Found[], stack: string): string {
  const of = (isMeant: (each: Found) => boolean) => list(found.filter(isMeant)) || "none";
  const madeBy = found.flatMap((each) => each.madeBy ?? [])[0];
  return [
    `stack ${stack} was created by ${madeBy ?? "an unknown user"}.`,
    `  removed and created again: ${of(({ kind }) => kind !== "volume")}; what was installed by hand in a container and what its kernels have in memory is lost`,
    `  kept and used again: ${of(({ kind }) => kind === "volume")}; your files in code/ and data/`,
  ].join("\n");
}
