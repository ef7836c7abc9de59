/** Whether `npm start` asks first: where something would be lost, or may cost money, and nowhere else. */
import { Problem, step } from "./say.ts";
import { planQuietly, type Session } from "./session.ts";
import { stackOption } from "./setup/stack.ts";
import { resourceName, type State, type StateResource } from "./state.ts";

/** Under so many columns the engine's tree has no room for what it says of a resource. */
const WIDE = 120;

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

/** What comes of a plan. */
export type Consent =
  | { do: "nothing" }
  /** Carry it out, after a word of the person's where something is lost. */
  | { do: "go ahead"; losses: Loss[] }
  /** Show the whole plan, with what it costs, and carry it out after a word of the person's. */
  | { do: "show it first"; losses: Loss[] }
  /** Leave it to the engine. */
  | { do: "let the engine ask" };

/**
 * Finds out whether the person has to be asked.
 *
 * @throws Problem where work or data would be lost and there is no terminal to ask at
 */
export async function consent(session: Session, state: State, args: string[]): Promise<Consent> {
  const { interactive } = session.context;
  const goAhead: Consent = { do: "go ahead", losses: [] };
  const isConfirmed = session.rest.some((arg) => /^(-y|--yes)$/.test(arg));
  // Who says how it is to be done is taken at their word.
  if (interactive && session.rest.length > 0) return { do: "let the engine ask" };
  if (!interactive && isConfirmed) return goAhead;
  const { resources = [] } = state.deployment;
  if (resources.length === 0) {
    return interactive && session.settings?.host === "aws" ? { do: "show it first", losses: [] } : goAhead;
  }
  const { code, stdout } = await step("looking at what has changed", () => planQuietly(session, args));
  // What is wrong is said when it is shown, or tried.
  if (code !== 0) return interactive ? { do: "show it first", losses: [] } : goAhead;
  const judged = judge(JSON.parse(stdout).steps ?? [], resources, args);
  if (interactive || judged.do === "nothing") return judged;
  const lost = judged.losses.filter(({ lasting }) => lasting).map(({ what }) => what);
  if (lost.length === 0) return goAhead;
  throw new Problem(
    [...lost, `there is no terminal to ask at: confirm with \`npm start -- --yes${named(session)}\``].join(
      "\n",
    ),
  );
}

const named = ({ stack }: Session) => stackOption(stack).replace(/^ --/, "");

/**
 * Judges a plan. Whatever changes on AWS may cost money, and the preview has the price.
 *
 * @param resources of the state
 * @param args for the engine; a resource that they name is gone already, and made again
 */
export function judge(steps: Step[], resources: StateResource[], args: string[] = []) {
  const changes = steps.filter(({ op }) => !["same", "read", "refresh"].includes(op));
  if (changes.length === 0) return { do: "nothing" as const };
  const lost = changes
    .filter(({ urn }) => !args.includes(urn))
    .flatMap(
      (each) =>
        loss(
          each,
          resources.find(({ urn }) => urn === each.urn),
        ) ?? [],
    );
  const losses = [...new Map(lost.map((each) => [each.what, each])).values()];
  const costs = changes.some(({ urn }) => typeOf(urn).startsWith("aws:"));
  return { do: costs ? ("show it first" as const) : ("go ahead" as const), losses };
}

/** What a person loses by a step; undefined where that is nothing. */
function loss({ op, urn }: Step, resource: StateResource | undefined): Loss | undefined {
  const type = typeOf(urn);
  const name = resourceName(urn);
  const of = name.replace(/-(container|home|retire)$/, "");
  const replaced = /replace/.test(op);
  if (!replaced && op !== "delete") return undefined;
  if (type === "docker:index/container:Container") {
    const what = replaced ? "its container is replaced" : "its container is removed";
    return {
      what: `${of}: ${what}, and what kernels have in memory is lost; /code and /data stay`,
      lasting: false,
    };
  }
  if (type === "docker:index/volume:Volume" && !resource?.retainOnDelete) {
    return {
      what: `${of}: its home volume is removed, with the settings and the shell history in it`,
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

/** The type of a resource: the last of those in its URN, which names its parents' as well. */
const typeOf = (urn: string) => urn.split("::")[2]?.split("$").at(-1) ?? "";

/** Arguments by which the engine shows what it does: in a tree where that has room, else line by line. */
export function displayArgs(interactive: boolean, columns = process.stdout.columns): string[] {
  return interactive && (columns ?? 0) >= WIDE ? [] : ["--non-interactive"];
}
