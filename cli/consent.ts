/** Whether `npm start` asks first: where something would be lost, or may cost money, and nowhere else. */
import { REMOVAL } from "../components/workspace/retire.ts";
import { Problem, step } from "./say.ts";
import { planQuietly, type Session } from "./session.ts";
import { npmCommand } from "./setup/stack.ts";
import { resourceName, type State, type StateResource } from "./state.ts";

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
  | { do: "nothing" }
  /** Carry it out, after a word of the person's where something is lost. */
  | { do: "go ahead"; losses: Loss[] }
  /** Show the whole plan, with what it costs, and carry it out after a word of the person's. */
  | { do: "show it first"; losses: Loss[] }
  /** Leave it to the engine. */
  | { do: "let the engine ask" };

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
 * @param look what the engine would do
 * @throws Problem where work or data would be lost and there is no terminal to ask at
 */
export async function consent(
  session: Session,
  state: State,
  args: string[],
  look: () => Promise<Plan> = () => lookAhead(session, args),
): Promise<Consent> {
  const { interactive } = session.context;
  const goAhead: Consent = { do: "go ahead", losses: [] };
  // Who says how it is to be done is taken at their word.
  if (interactive && session.rest.length > 0) return { do: "let the engine ask" };
  if (!interactive && isConfirmed(session)) return goAhead;
  const { resources = [] } = state.deployment;
  if (resources.length === 0) {
    return interactive && session.settings?.host === "aws" ? { do: "show it first", losses: [] } : goAhead;
  }
  const plan = await look();
  // What is wrong is said when it is shown, or tried.
  if (!plan) return interactive ? { do: "show it first", losses: [] } : goAhead;
  const judged = judge(plan, resources, args);
  if (interactive || judged.do === "nothing") return judged;
  const lost = judged.losses.filter(({ lasting }) => lasting).map(({ what }) => what);
  if (lost.length === 0) return goAhead;
  const again = npmCommand("start", session.stack, ...session.rest, "--yes");
  throw new Problem([...lost, `there is no terminal to ask at: confirm with \`${again}\``].join("\n"));
}

/** Whether the person has agreed beforehand. */
export const isConfirmed = ({ rest }: Session) => rest.includes("--yes");

/**
 * Judges a plan. Whatever changes on AWS may cost money, and the preview has the price.
 *
 * @param resources of the state
 * @param args for the engine; a resource that they name is gone already with all that goes with it, and made again
 */
export function judge(steps: Step[], resources: StateResource[], args: string[] = []) {
  const changes = steps.filter(({ op }) => !["same", "read", "refresh"].includes(op));
  if (changes.length === 0) return { do: "nothing" as const };
  const lost = changes.flatMap((each) => {
    const resource = resources.find(({ urn }) => urn === each.urn);
    const isGone = [each.urn, resource?.deletedWith].some((urn) => urn !== undefined && args.includes(urn));
    return isGone ? [] : (loss(each, resource) ?? []);
  });
  const losses = [...new Map(lost.map((each) => [each.what, each])).values()];
  const costs = changes.some(({ urn }) => typeOf(urn).startsWith("aws:"));
  return { do: costs ? ("show it first" as const) : ("go ahead" as const), losses };
}

/** What a person loses by a step; undefined where that is nothing. */
function loss({ op, urn }: Step, resource: StateResource | undefined): Loss | undefined {
  const type = typeOf(urn);
  const name = resourceName(urn);
  const of = name.replace(/-(container|home|home-removal|retire)$/, "");
  const replaced = /replace/.test(op);
  if (!replaced && op !== "delete") return undefined;
  if (type === "docker:index/container:Container") {
    const what = replaced ? "its container is replaced" : "its container is removed";
    return {
      what: `${of}: ${what}, and what kernels have in memory is lost; /code and /data stay`,
      lasting: false,
    };
  }
  if (removesHome({ ...resource, type, urn }) && !(replaced && type === COMMAND)) {
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
  if (type === VOLUME) return !retainOnDelete || Boolean(deletedWith);
  return type === COMMAND && urn.endsWith(REMOVAL) && !retainOnDelete;
}

const VOLUME = "docker:index/volume:Volume";
const COMMAND = "command:local:Command";

/** The type of a resource: the last of those in its URN, which names its parents' as well. */
const typeOf = (urn: string) => urn.split("::")[2]?.split("$").at(-1) ?? "";

/** Arguments by which the engine shows what it does: in a tree where that has room, else line by line. */
export function displayArgs(interactive: boolean, columns = process.stdout.columns): string[] {
  return interactive && (columns ?? 0) >= WIDE ? [] : ["--non-interactive"];
}
