/** Whether `npm start` asks first: where something would be lost, or may cost money, and nowhere else. */

import { UserError } from "../../errors.ts";
import { DATA_REMOVAL } from "../../machine/aws/tags.ts";
import { REMOVAL } from "../../machine/names.ts";
import { TYPE } from "../../machine/resource-types.ts";
import { stackCommand } from "../stack.ts";
import { step } from "../ui/say.ts";
import type { State, StateResource } from "./checkpoint.ts";
import { planQuietly } from "./run-engine.ts";
import type { Session } from "./session.ts";
import { resourceName, typeOf } from "./urn.ts";

/** Under so many columns the engine's tree has no room for what it says of a resource. */
const WIDE = 120;

/** What goes with a home volume. */
export const IN_HOME =
  "all of /home/jupyter: packages from `pip install` (~/.local), settings, shell history, and your files there";

/** A step of the engine's plan. */
export interface Step {
  /** `same`, `create`, `update`, `delete`, `replace` … */
  op: string;
  urn: string;
}

/** Something that a person has, and will not have any more. */
export interface Loss {
  what: string;
  /** Whether it is work or data, rather than what a kernel has in its memory. */
  lasting: boolean;
}
/** What the engine would do; undefined where it fails, and says why when it is asked again. */
export type Plan = Step[] | undefined;

/** What comes of a plan. */
export type Consent =
  | { do: "nothing"; losses: Loss[] }
  /** Carry it out, after a word of the person's where something is lost. */
  | { do: "go ahead"; losses: Loss[] }
  /** Show the whole plan, with what it costs, and carry it out after a word of the person's. */
  | { do: "show it first"; losses: Loss[] }
  /** Leave it to the engine, which does not say what is lost. */
  | { do: "let the engine ask"; losses: Loss[] };

/** Has the engine look at what it would do. */
export async function lookAhead(session: Session, args: string[]): Promise<Plan> {
  const { code, stdout } = await step("looking at what has changed", () => planQuietly(session, args));
  return code === 0 ? (JSON.parse(stdout).steps ?? []) : undefined;
}

/** Whether a plan leaves a resource where it is: what is replaced or removed is not to be touched before. */
export function leaves(plan: Plan, urn: string): boolean {
  return plan?.every((each) => each.urn !== urn || !/replace|delete/.test(each.op)) ?? false;
}

/**
 * Finds out whether the person has to be asked.
 *
 * @param args for the engine
 * @param gone URNs of what is gone already, with all that goes with it, and made again
 * @param look what the engine would do
 * @throws UserError where work or data would be lost and there is no terminal to ask at
 */
export async function consent(
  session: Session & { wanted: { costsMoney: boolean } },
  state: State,
  args: string[],
  gone: string[] = args,
  look: () => Promise<Plan> = () => lookAhead(session, args),
): Promise<Consent> {
  const { interactive } = session.context;
  const goAhead: Consent = { do: "go ahead", losses: [] };
  // Who says how it is to be done is taken at their word.
  if (interactive && session.rest.length > 0) {
    const replaces = session.rest.some((arg) => /^--(target-)?replace\b/.test(arg));
    const plan = replaces ? await look() : undefined;
    const { resources = [] } = state.deployment;
    return { do: "let the engine ask", losses: plan ? (judge(plan, resources, gone).losses ?? []) : [] };
  }
  if (!interactive && isConfirmed(session)) return goAhead;
  const { resources = [] } = state.deployment;
  if (resources.length === 0) {
    return interactive && session.wanted.costsMoney ? { do: "show it first", losses: [] } : goAhead;
  }
  const plan = await look();
  // What is wrong is said when it is shown, or tried.
  if (!plan) return interactive ? { do: "show it first", losses: [] } : goAhead;
  const judged = judge(plan, resources, gone);
  if (interactive || judged.do === "nothing") return judged;
  const lost = judged.losses.filter(({ lasting }) => lasting).map(({ what }) => what);
  if (lost.length === 0) return goAhead;
  const again = stackCommand("up", session.stack, ...session.rest, "--yes");
  throw new UserError([...lost, `there is no terminal to ask at: confirm with \`${again}\``].join("\n"));
}

/** Whether the person has agreed beforehand. */
export const isConfirmed = ({ rest }: Session) => rest.includes("--yes");

/**
 * Judges a plan. Whatever changes on AWS may cost money, and the preview has the price.
 *
 * @param resources of the state
 * @param gone URNs of what is gone already, with all that goes with it, and made again
 */
export function judge(steps: Step[], resources: StateResource[], gone: string[] = []) {
  const changes = steps.filter(({ op }) => !["same", "read", "refresh"].includes(op));
  if (changes.length === 0) return { do: "nothing" as const, losses: [] };
  const isGone = (urn: string): boolean => {
    const takenAlong = resources.find((resource) => resource.urn === urn)?.deletedWith;
    return gone.includes(urn) || (Boolean(takenAlong) && isGone(takenAlong as string));
  };
  const lost = changes.flatMap((each) => {
    const resource = resources.find(({ urn }) => urn === each.urn);
    return isGone(each.urn) ? [] : (loss(each, resource) ?? []);
  });
  const losses = [...new Map(lost.map((each) => [each.what, each])).values()];
  const costs = changes.some(({ urn }) => isOnAws(typeOf(urn)));
  return { do: costs ? ("show it first" as const) : ("go ahead" as const), losses };
}

/** What a person loses by a step; undefined where that is nothing. */
function loss({ op, urn }: Step, resource: StateResource | undefined): Loss | undefined {
  const type = typeOf(urn);
  const name = resourceName(urn);
  const of = name.replace(/-(container|home|home-removal|retire)$/, "");
  const replaced = /replace/.test(op);
  if (!replaced && op !== "delete") return undefined;
  if (type === TYPE.instance) {
    const gone = `${resource?.id}: the machine is ${replaced ? "replaced: it is ended before the next is made" : "removed"}, and with it goes its system disk: images, home volumes, all outside of the root; the data volume and the address stay`;
    return {
      what: replaced ? `${gone}. Where AWS has no capacity then, there is no machine until it has` : gone,
      lasting: true,
    };
  }
  if (resource && removesData({ ...resource, type, urn }) && !replaced) {
    const { VOLUME: volume } = (resource.inputs?.environment ?? {}) as Record<string, unknown>;
    return { what: `${volume ?? resource.id}: ${DATA_GOES}`, lasting: true };
  }
  if (type === TYPE.container) {
    const what = replaced ? "its container is replaced" : "its container is removed";
    return {
      what: `${of}: ${what}, and what kernels have in memory is lost; /code and /data stay`,
      lasting: false,
    };
  }
  if (removesHome({ ...resource, type, urn }) && !(replaced && type === TYPE.command)) {
    return {
      what: `${of}: its home volume is removed, and with it ${IN_HOME}`,
      lasting: true,
    };
  }
  if (name.endsWith("-retire") && !replaced) {
    const { PURGE } = (resource?.inputs?.environment ?? {}) as Record<string, unknown>;
    const becomes = PURGE === "1" ? "what gpubox put there is removed, as it said `purge`" : "its files stay";
    return {
      what: `${of.replace("-", "/")}: no longer in the configuration; ${becomes}`,
      lasting: PURGE === "1",
    };
  }
  return undefined;
}

/** Whether a home volume goes with a resource; see `retireVolume`. One that is tied to its machine may go with that. */
export function removesHome({
  type,
  urn,
  retainOnDelete,
  deletedWith,
}: Pick<StateResource, "type" | "urn" | "retainOnDelete" | "deletedWith">): boolean {
  if (type === TYPE.volume) return !retainOnDelete || Boolean(deletedWith);
  return type === TYPE.command && urn.endsWith(REMOVAL) && !retainOnDelete;
}

/** Whether a data volume on AWS goes with a resource; of a stack of before there was an entry for that, with the volume's own. */
export function removesData({
  type,
  urn,
  inputs,
  retainOnDelete,
}: Pick<StateResource, "type" | "urn" | "inputs" | "retainOnDelete">): boolean {
  if (type === TYPE.ebsVolume) return !retainOnDelete;
  return type === TYPE.command && urn.endsWith(DATA_REMOVAL) && Boolean(inputs?.delete);
}

/** What is said of such a volume. */
export const DATA_GOES =
  "the data volume is deleted once no machine has it, with code/ and data/; a last snapshot of it stays";

/** Whether a resource is one on AWS, and not what only looks something up there. */
export const isOnAws = (type: string) => type.startsWith("aws:");

/** Arguments by which the engine shows what it does: in a tree where that has room, else line by line. */
export function displayArgs(interactive: boolean, columns = process.stdout.columns): string[] {
  return interactive && (columns ?? 0) >= WIDE ? [] : ["--non-interactive"];
}
