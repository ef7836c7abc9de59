/**
 * Whose the containers, networks and volumes on a Docker daemon are.
 *
 * A daemon may be shared by people, and by the states of one person, that all have a stack of the same name. So everything a stack
 * makes carries an owner, a value that only the stack's own state has. What was made before there were owners is told by being in
 * the state. Pure but for `madeBy`; stack-owner.ts has what takes the engine.
 */

import { hostname } from "node:os";
import { commandLine } from "../text/command-line.ts";
import { userName } from "./person.ts";
import { TYPE } from "./resource-types.ts";

/** `<project>/<stack>`: which stack made it. */
export const STACK_LABEL = "gpubox.stack";
/** Which state has it. */
export const OWNER_LABEL = "gpubox.owner";
/** Which of the stack's notebooks it belongs to. */
export const NOTEBOOK_LABEL = "gpubox.notebook";
/** Who made it, and where the state is, in words; on what outlives a container. */
export const MADE_BY_LABEL = "gpubox.made-by";

const KINDS = {
  [TYPE.container]: "container",
  [TYPE.network]: "network",
  [TYPE.volume]: "volume",
} as const;

/** What a stack has on a Docker daemon. */
export type Kind = (typeof KINDS)[keyof typeof KINDS];

/** What a stack has by its state. */
export interface Holdings {
  /** Its owner; undefined while nothing was made with one. */
  owner: string | undefined;
  /** What the state names, as `network/gpubox-dev`. */
  names: ReadonlySet<string>;
  /** Where it was put, if that is a daemon of this machine's. */
  daemon?: Daemon | undefined;
}

/** A Docker daemon. */
export interface Daemon {
  /** What it calls itself: nothing else does. */
  id: string;
  /** How it is reached, as in DOCKER_HOST; undefined where nobody said so. */
  host?: string | undefined;
}

/** The variable by which the commands tell the program what `npm run adopt` has taken over; see `withAdopted`. */
export const ADOPTED = "GPUBOX_ADOPTED";

/** What `npm run adopt` has taken over for a stack whose state is lost. */
export interface Adopted {
  /** `<project>/<stack>`. */
  stack: string;
  owner: string;
  /** As in `Holdings`. */
  names: string[];
}

/** Something on a Docker daemon. */
export interface Existing {
  kind: Kind;
  name: string;
  /** Value of its label `gpubox.stack`; undefined on what no stack of ours made. */
  stack?: string;
  /** Value of its label `gpubox.owner`. */
  owner?: string;
  /** Value of its label `gpubox.made-by`. */
  madeBy?: string;
  /** Value of its label `gpubox.notebook`, where that is known. */
  notebook?: string;
}

/** Something on a daemon, by its labels; the daemon has null in place of no labels, and its client an empty text. */
export function existing(kind: Kind, name: string, labels: Record<string, string> | null = {}): Existing {
  const label = (key: string) => labels?.[key] || undefined;
  return {
    kind,
    name,
    stack: label(STACK_LABEL),
    owner: label(OWNER_LABEL),
    madeBy: label(MADE_BY_LABEL),
    notebook: label(NOTEBOOK_LABEL),
  };
}

/** A resource of a state, as far as it is read here. */
interface Resource {
  urn: string;
  type: string;
  /** Its inputs, or its outputs: both have its name and its labels. */
  properties: Record<string, unknown> | undefined;
}

/** What a state says that its stack has. Pure. */
export function holdings(resources: Resource[]): Holdings {
  const known = resources.flatMap(({ type, properties }) => {
    const kind = KINDS[type as keyof typeof KINDS];
    return kind ? [{ kind, properties: properties ?? {} }] : [];
  });
  const owners = known.flatMap(({ properties: { labels } }) =>
    Array.isArray(labels) ? labels.flatMap(({ label, value }) => (label === OWNER_LABEL ? [value] : [])) : [],
  );
  return {
    owner: owners.find((value) => typeof value === "string"),
    names: new Set(known.map(({ kind, properties: { name } }) => `${kind}/${name}`)),
    daemon: daemonOf(resources),
  };
}

/** The scripts of this machine run again on another daemon, so they name theirs. */
function daemonOf(resources: Resource[]): Daemon | undefined {
  const part = (type: string) => resources.find(({ urn }) => urn.includes(`gpubox:host:LocalHost$${type}::`));
  const { triggers } = part(TYPE.command)?.properties ?? {};
  const [id] = Array.isArray(triggers) ? triggers : [];
  const { host } = part("pulumi:providers:docker")?.properties ?? {};
  if (typeof id !== "string") return undefined;
  return { id, host: typeof host === "string" ? host : undefined };
}

/**
 * That another daemon answers than the one a stack was put on: there it would be made a second time, or forgotten, and run on here.
 *
 * @returns undefined where it is the same, or the stack is on none
 */
export function otherDaemon(
  stack: string,
  { names, daemon }: Holdings,
  found: { id: string; host: string },
): string | undefined {
  if (daemon === undefined || names.size === 0 || daemon.id === found.id) return undefined;
  const name = stackName(stack);
  const where = daemon.host === undefined || daemon.host === found.host ? "" : ` at ${daemon.host}`;
  return [
    `stack ${name} was put on the Docker daemon ${daemon.id}${where}, and the one that answers at ${found.host} is another, ${found.id}; nothing was changed.`,
    `  Use the first: set DOCKER_HOST${where ? `=${daemon.host}` : ""}, or choose the Docker context, as it was when the stack was created.`,
    `  If it is gone for good, for example because Docker was reinstalled, forget what was there:  ${commandLine("pulumi", "stack", "rm", "--force", "--preserve-config", name)}`,
    "  then try again; your files in code/ and data/ stay.",
  ].join("\n");
}

/** What a stack has by its state, and what it is to have by what was taken over for it. Pure. */
export function withAdopted(holdings: Holdings, adopted: Adopted | undefined): Holdings {
  if (adopted === undefined) return holdings;
  // What the state has counts before that: with another owner its volumes would not be its own any more.
  const owner = holdings.owner ?? adopted.owner;
  return { ...holdings, owner, names: new Set([...holdings.names, ...adopted.names]) };
}

/** Whether something on a daemon is a stack's own; the name alone tells while its state is not known. Pure. */
export function isOwn(
  { kind, name, stack, owner }: Existing,
  { stack: asking, holdings }: { stack: string; holdings?: Holdings },
): boolean {
  if (holdings === undefined) return stack === asking;
  if (owner !== undefined) return owner === holdings.owner;
  // A volume that was restored by hand has no label at all; a container or a network is known by more than its name.
  return (kind === "volume" || stack === asking) && holdings.names.has(`${kind}/${name}`);
}

/** Who deploys, and where the state is, for whoever comes upon what they made: "ada@desk, state in file:///home/ada/.gpubox/state". */
export function madeBy(env: NodeJS.ProcessEnv = process.env): string {
  // An address may hold a login or options, which are nobody's business.
  const url = env.PULUMI_BACKEND_URL?.replace(/\?.*$/, "").replace(/\/\/[^/@]*@/, "//");
  return `${userName()}@${hostname()}${url ? `, state in ${url}` : ""}`;
}

/** `dev` of `gpubox/dev`, as labels have it. */
export const stackName = (label: string): string => label.slice(label.lastIndexOf("/") + 1);
