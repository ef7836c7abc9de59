/** `npm run adopt`: takes over what a stack has on its Docker daemon, where the state that had it is lost. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import type Docker from "dockerode";
import { parseDocument } from "yaml";
import { type Existing, existing, isOwn } from "../../components/host/owner.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { nameOf } from "../reconcile.ts";
import { Problem, say, step } from "../say.ts";
import { askDocker, dockerAddress, dockerClient } from "../setup/daemon.ts";
import { confirm } from "../setup/packages.ts";
import { npmCommand, readStack, stackFile, stackLabel } from "../setup/stack.ts";
import { findHoldings } from "../state.ts";
import { findPlaces } from "../state-file.ts";

/** Where an owner stands in a stack's file. */
const KEY = ["config", "gpubox:owner"];

export async function adopt(context: Context, args: Args): Promise<number> {
  const { stack, options } = args;
  const host = await daemonOf(context, stack);
  const label = stackLabel(context.root, stack);
  const holdings = findHoldings(findPlaces(context, stack));
  if (holdings === undefined || holdings.owner !== undefined || holdings.names.size > 0) {
    throw new Problem(
      `adopt: stack ${stack} has a state of its own, so there is nothing to take over: \`${npmCommand("start", stack)}\``,
    );
  }
  const all = await everything(host);
  const named = all.filter((each) => each.stack === label && !isOwn(each, { stack: label, holdings }));
  // A stack that was renamed has things of its old name as well: by what its containers have mounted.
  const isTied = (one: Found, other: Found) =>
    one.mounts.includes(other.name) || other.mounts.includes(one.name);
  const found = all.filter((each) => named.some((one) => one === each || isTied(one, each)));
  if (found.length === 0) {
    say(`adopt: there is nothing of stack ${stack} on the Docker daemon; \`${npmCommand("start", stack)}\``);
    return 0;
  }
  refuseRenamed(found, label);
  const owner = ownerOf(found, stack);
  say(describe(found, stack));
  if (!options.yes && !context.interactive) {
    throw new Problem(
      `adopt: there is no terminal to ask at: confirm with \`${npmCommand("adopt", stack, "--yes")}\``,
    );
  }
  if (!options.yes && !(await confirm("is all of this yours, and the state that had it lost?"))) {
    say("nothing was changed");
    return 1;
  }
  await clearAway(host, found);
  const file = stackFile(context.root, stack);
  const document = parseDocument(readFileSync(file, "utf8"));
  document.setIn(KEY, owner);
  writeFileSync(file, document.toString({ lineWidth: 0 }));
  say(`${file}: gpubox:owner is set. Go on with \`${npmCommand("start", stack)}\``);
  return 0;
}

async function daemonOf(context: Context, stack: string): Promise<string> {
  const { host } = readStack(context.root, stack);
  if (host === "local") return dockerAddress(context.env).host;
  if (host === "ssh") {
    const { openRemote } = await import("../remote.ts");
    return (await openRemote(context.root, stack)).docker.host;
  }
  throw new Problem(
    `adopt: stack ${stack} has a machine of its own, which its lost state knew: name the data volume that it left as \`dataVolume: {id: vol-…}\`, docs/aws.md says how`,
  );
}

interface Found extends Existing {
  id: string;
  /** Names of the volumes that a container has. */
  mounts: string[];
}

async function everything(host: string): Promise<Found[]> {
  const [containers, networks, volumes] = await Promise.all([
    askDocker<Docker.ContainerInfo[]>(host, "/containers/json?all=true"),
    askDocker<Docker.NetworkInspectInfo[]>(host, "/networks"),
    askDocker<{ Volumes: Docker.VolumeInspectInfo[] | null }>(host, "/volumes"),
  ]);
  return [
    ...(containers ?? []).map((each) => ({
      id: each.Id,
      ...existing("container", nameOf(each), each.Labels),
      mounts: each.Mounts.flatMap(({ Type, Name }) => (Type === "volume" && Name ? [Name] : [])),
    })),
    ...(networks ?? []).map(({ Id, Name, Labels }) => ({
      id: Id,
      ...existing("network", Name, Labels),
      mounts: [],
    })),
    ...(volumes?.Volumes ?? []).map(({ Name, Labels }) => ({
      id: Name,
      ...existing("volume", Name, Labels),
      mounts: [],
    })),
  ];
}

/** The owner of what was found. @throws Problem where that is more than one */
function ownerOf(found: Found[], stack: string): string {
  const owners = [...new Set(found.flatMap(({ owner }) => owner ?? []))];
  if (owners.length <= 1) return owners[0] ?? randomBytes(8).toString("hex");
  const lines = owners.map((owner) => {
    const its = found.filter((each) => each.owner === owner);
    const madeBy = its.flatMap((each) => each.madeBy ?? [])[0] ?? "nothing says whose";
    return `  ${owner} (${madeBy}): ${list(its)}`;
  });
  throw new Problem(
    [
      `adopt: stack ${stack} is there for more than one state, so it is not clear which is yours:`,
      ...lines,
    ].join("\n"),
  );
}

/** @throws Problem where its volumes have the name that the stack had before, under which alone they are gone on with */
function refuseRenamed(found: Found[], label: string): void {
  const [project, name] = label.split("/");
  const before = found.find(({ kind, stack }) => kind === "volume" && stack !== label)?.stack?.split("/")[1];
  if (before === undefined) return;
  throw new Problem(
    `adopt: stack ${name} of ${project} was called ${before} when its home volumes were made, and they are gone on with under that name: \`mv Pulumi.${name}.yaml Pulumi.${before}.yaml\`, then \`${npmCommand("adopt", before)}\``,
  );
}

const list = (some: Existing[]) => some.map(({ kind, name }) => `${kind} ${name}`).join(", ");

function describe(found: Found[], stack: string): string {
  const of = (isMeant: (each: Found) => boolean) => list(found.filter(isMeant)) || "none";
  const madeBy = found.flatMap((each) => each.madeBy ?? [])[0];
  return [
    `stack ${stack} was made by ${madeBy ?? "somebody, nothing on it says who"}.`,
    `  goes, to be made again: ${of(({ kind }) => kind !== "volume")}; with what was installed in a container by hand, and the memory of its kernels`,
    `  stays, and is gone on with: ${of(({ kind }) => kind === "volume")}; your files in code/ and data/`,
  ].join("\n");
}

/** A network goes only once no container is on it. */
async function clearAway(host: string, found: Found[]): Promise<void> {
  const docker = dockerClient(host);
  for (const { id, kind, name } of found.filter((each) => each.kind === "container")) {
    await step(`${kind} ${name}: removing it`, async () => {
      await docker
        .getContainer(id)
        .stop()
        .catch(() => {});
      await docker.getContainer(id).remove({ force: true });
    });
  }
  for (const { id } of found.filter(({ kind }) => kind === "network")) await docker.getNetwork(id).remove();
}
