/**
 * Whose the containers, networks and volumes on a Docker daemon are.
 *
 * A daemon may be shared by people, and by the states of one person, that all have a stack of the same name. So everything a stack
 * makes carries an owner, a value that only the stack's own state has. What was made before there were owners is told by being in
 * the state. Pure but for `madeBy`; stack-owner.ts has what takes the engine.
 */
import { hostname, userInfo } from "node:os";

/** `<project>/<stack>`: which stack made it. */
export const STACK_LABEL = "gpubox.stack";
/** Which state has it. */
export const OWNER_LABEL = "gpubox.owner";
/** Who made it, and where the state is, in words; on what outlives a container. */
export const MADE_BY_LABEL = "gpubox.made-by";

const KINDS = {
  "docker:index/container:Container": "container",
  "docker:index/network:Network": "network",
  "docker:index/volume:Volume": "volume",
} as const;

/** What a stack has on a Docker daemon. */
export type Kind = (typeof KINDS)[keyof typeof KINDS];

/** What a stack has by its state. */
export interface Holdings {
  /** Its owner; undefined while nothing was made with one. */
  owner: string | undefined;
  /** What the state names, as `network/gpubox-dev`. */
  names: ReadonlySet<string>;
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
  };
}

/** A resource of a state, as far as it is read here. */
interface Resource {
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
  };
}

/** Whether something on a daemon is a stack's own; the name alone tells while its state is not known. Pure. */
export function isOwn(
  { kind, name, stack, owner }: Existing,
  its: { stack: string; holdings?: Holdings; adopts?: string },
): boolean {
  const { holdings, adopts } = its;
  if (holdings === undefined) return stack === its.stack;
  if (owner !== undefined) return owner === holdings.owner || owner === adopts;
  return stack === its.stack && (adopts !== undefined || holdings.names.has(`${kind}/${name}`));
}

/** Who deploys, and where the state is, for whoever comes upon what they made: "ada@desk, state in file:///home/ada/.gpubox/state". */
export function madeBy(env: NodeJS.ProcessEnv = process.env): string {
  // An address may hold a login or options, which are nobody's business.
  const url = env.PULUMI_BACKEND_URL?.replace(/\?.*$/, "").replace(/\/\/[^/@]*@/, "//");
  return `${userName()}@${hostname()}${url ? `, state in ${url}` : ""}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // Whoever has no entry in /etc/passwd.
    return `user ${process.getuid?.()}`;
  }
}

/** `dev` of `gpubox/dev`, as labels have it. */
export const stackName = (label: string): string => label.slice(label.lastIndexOf("/") + 1);
