/** What BuildKit says while it builds an image, by the official plugin's words or the stand-in's, as steps that have a name. Pure. */
import { formatSeconds } from "./say.ts";

/** Of what a step printed, in lines. */
const KEPT = 15;

/** A shorter step is not worth a line, in seconds. */
const WORTH_A_LINE = 1;

/** In letters. */
const TITLE = 72;

/** A line of BuildKit's own display: the number of a step, and what is said of it. */
const NUMBERED = /^#(\d+) (.*)$/;

export class BuildSteps {
  readonly #names = new Map<string, string>();
  #doing = "";
  #output: string[] = [];

  /** What the build is at, in a line; empty before its first step. */
  get doing(): string {
    return this.#doing;
  }

  /** The last lines that its steps printed. */
  get output(): string[] {
    return this.#output;
  }

  /** Takes in a line. @returns the step that it ends, with its time, where that is worth a line */
  add(line: string): string[] {
    const [, number, said = ""] = NUMBERED.exec(line) ?? [];
    return number === undefined ? this.#ofStandIn(line) : this.#numbered(number, said);
  }

  #numbered(number: string, said: string): string[] {
    const name = this.#names.get(number);
    if (name === undefined || said === name) {
      this.#names.set(number, said);
      if (isForPeople(said)) this.#doing = titleOf(said);
      return [];
    }
    const [, seconds] = /^DONE ([\d.]+)s$/.exec(said) ?? [];
    if (seconds !== undefined) return ended(name, Number(seconds));
    const [, printed] = /^[\d.]+ (.*)$/.exec(said) ?? [];
    if (printed !== undefined) this.#print(titleOf(name), printed);
    return [];
  }

  #ofStandIn(line: string): string[] {
    const [, name = "", seconds] = /^(.*): done in ([\d.]+) s$/.exec(line) ?? [];
    if (seconds !== undefined) return ended(name, Number(seconds));
    // What was built before, and how long the step at hand takes, which is counted here.
    if (/ \(cached\)$|: \d+ s so far(:|$)/.test(line)) return [];
    const [, step, printed] = /^(\[[^\]]+\] .*?): (.*)$/.exec(line) ?? [];
    if (step !== undefined && printed !== undefined && this.#doing.startsWith(step))
      this.#print(step, printed);
    else this.#doing = titleOf(line);
    return [];
  }

  #print(step: string, printed: string): void {
    this.#doing = `${step}: ${printed}`;
    this.#output = [...this.#output, printed].slice(-KEPT);
  }
}

function ended(name: string, seconds: number): string[] {
  return isForPeople(name) && seconds >= WORTH_A_LINE ? [`${titleOf(name)} (${formatSeconds(seconds)})`] : [];
}

/** The builder's own steps say nothing to a person. */
const isForPeople = (name: string) => /^\[(?!internal\])|^exporting /.test(name);

/** A command of many lines says less than its beginning does. */
function titleOf(name: string): string {
  const title = name.replace(/--mount=\S+\s+/g, "").replace(/\s+/g, " ");
  return title.length > TITLE ? `${title.slice(0, TITLE - 1)}…` : title;
}
