/** Whether `npm start` asks first: where something would be lost, or may cost money, and nowhere else. */
import { step } from "./say.ts";
import { planQuietly, type Session } from "./session.ts";
import { resourceName, type State } from "./state.ts";

/** Under so many columns the engine's tree has no room for what it says of a resource. */
const WIDE = 120;

/** A step of the engine's plan. */
export interface Step {
  /** `same`, `create`, `update`, `delete`, `replace` … */
  op: string;
  urn: string;
}

/** What comes of a plan. */
export type Consent =
  | { do: "nothing" }
  /** Carry it out, after a word of the person's where something is lost. */
  | { do: "go ahead"; losses: string[] }
  /** Show the whole plan, with what it costs, and carry it out after a word of the person's. */
  | { do: "show it first" }
  /** Leave it to the engine. */
  | { do: "let the engine ask" };

/** Finds out whether the person has to be asked. Without a terminal there is nobody to ask. */
export async function consent(session: Session, state: State, args: string[]): Promise<Consent> {
  const goAhead: Consent = { do: "go ahead", losses: [] };
  if (!session.context.interactive) return goAhead;
  // Who says how it is to be done is taken at their word.
  if (session.rest.length > 0) return { do: "let the engine ask" };
  if ((state.deployment.resources ?? []).length === 0) {
    return session.settings?.host === "aws" ? { do: "show it first" } : goAhead;
  }
  const { code, stdout } = await step("looking at what has changed", () => planQuietly(session, args));
  // What is wrong is said when it is shown.
  return code === 0 ? judge(JSON.parse(stdout).steps ?? [], args) : { do: "show it first" };
}

/**
 * Judges a plan. Whatever changes on AWS may cost money, and the preview has the price.
 *
 * @param args for the engine; a resource that they name is gone already, and made again
 */
export function judge(steps: Step[], args: string[] = []): Consent {
  const changes = steps.filter(({ op }) => !["same", "read", "refresh"].includes(op));
  if (changes.length === 0) return { do: "nothing" };
  if (changes.some(({ urn }) => typeOf(urn).startsWith("aws:"))) return { do: "show it first" };
  const lost = changes.filter(({ urn }) => !args.includes(urn)).flatMap((each) => loss(each) ?? []);
  return { do: "go ahead", losses: [...new Set(lost)] };
}

/** What a person loses by a step; undefined where that is nothing. */
function loss({ op, urn }: Step): string | undefined {
  const type = typeOf(urn);
  const name = resourceName(urn);
  const of = name.replace(/-(container|home|retire)$/, "");
  const replaced = /replace/.test(op);
  if (!replaced && op !== "delete") return undefined;
  if (type === "docker:index/container:Container") {
    const what = replaced ? "its container is replaced" : "its container is removed";
    return `${of}: ${what}, and what kernels have in memory is lost; /code and /data stay`;
  }
  if (type === "docker:index/volume:Volume") {
    return `${of}: its home volume is removed, with the settings and the shell history in it`;
  }
  if (name.endsWith("-retire") && !replaced) {
    return `${of.replace("-", "/")}: no longer in the configuration; its files stay, unless the entry said purge`;
  }
  return undefined;
}

/** The type of a resource: the last of those in its URN, which names its parents' as well. */
const typeOf = (urn: string) => urn.split("::")[2]?.split("$").at(-1) ?? "";

/** Arguments by which the engine shows what it does: in a tree where that has room, else line by line. */
export function displayArgs(interactive: boolean, columns = process.stdout.columns): string[] {
  return interactive && (columns ?? 0) >= WIDE ? [] : ["--non-interactive"];
}
