/** What the engine does, by its log of events, as steps that a person knows: what is worth a line that stays, and what goes on. Pure. */
import { resourceName, typeOf } from "../pulumi/urn.ts";
import { BuildSteps } from "./build-steps.ts";
import { formatSeconds } from "./say.ts";

/** A line of the log, as far as it is of use here. */
export interface EngineEvent {
  resourcePreEvent?: { metadata: Metadata };
  resOutputsEvent?: { metadata: Metadata };
  resOpFailedEvent?: { metadata: Metadata };
  diagnosticEvent?: { urn?: string; message: string; severity: string };
  policyEvent?: { message: string };
  summaryEvent?: { resourceChanges?: Record<string, number>; result?: string };
}

interface Metadata {
  /** `create`, `update`, `same` … */
  op: string;
  urn: string;
}

/** A resource that something is done to. */
interface Step {
  doing: string;
  done: string;
  /** In milliseconds. */
  since: number;
  /** How far it is. */
  detail: string;
  /** What it says that is to be read once it has ended: where it fails its error has the same. */
  notes: string[];
  /** Whether the last line was one of them. */
  isNoting: boolean;
  build: BuildSteps | undefined;
}

/** A shorter step that says nothing is not worth a line, in milliseconds. */
const WORTH_A_LINE_MS = 1_000;

/** Of an error: its beginning and its end say what is wrong. */
const ERROR_LINES = { first: 3, last: 15 };

/** Steps that nothing is done for. */
const IDLE = /^(same|replace|discard.*|remove-pending-replace)$/;

/** Resources that are made of others, or only the engine's. */
const GROUPS = /^(gpubox|pulumi):/;

/** What is done for a resource, by the end of its name: while it goes on, and once it has ended. */
const KINDS: [RegExp, string, string][] = [
  [/^(.+)-build$/, "$1: building", "$1: built"],
  [/^(.+)-pull$/, "$1: pulling", "$1: pulled"],
  [/^(.+)-container$/, "$1: making its container", "$1: container made"],
  [/^(.+)-ready$/, "$1: waiting until it answers", "$1: answers"],
  [/^(.+)-folders$/, "$1: writing to its folders", "$1: folders can be written to"],
  [/^(.+)-gpu$/, "$1: computing on its GPU", "$1: GPU computes"],
  [/^(?:code)-(.+)-checkout$/, "code $1: fetching", "code $1: fetched"],
  [/^(?:data)-(.+)-download$/, "data $1: fetching", "data $1: fetched"],
];

/** What is done with any other: while it goes on, and once it has ended. */
const OTHERS: Record<string, [string, string]> = {
  create: ["making", "made"],
  "create-replacement": ["making anew", "made anew"],
  update: ["changing", "changed"],
  delete: ["removing", "removed"],
  "delete-replaced": ["removing the old", "removed, the old one"],
};

/** Who speaks in the scripts of a host, before the colon; others are the programs that they run. */
const TOPIC =
  /^(?:(?:code|data|folders of|GPU of|idle stop|inspect|list|machine|notebook|packages of|prepare|ssh to|stack|status|system disk|volume)(?: \S+)?): (.*)$/;

/** What is said of a machine by what reaches it, and of what is removed on AWS by what removes it. */
const OWN = /^(?:\S+(?:: the connection is lost| does not answer, so )|vol-\w+: |spot request )/;

/** What a script says of what it is about to do, or how far it is. */
const PASSING =
  /^(?:vol-\w+: )?(looking for|fetching|downloading|reading|unpacking|unpacked|checking|found|waiting|made) |\bso far$| left$|MB\/s$|^\d.* MB( of |$)/;

/** The result of a script, which its step ends with. */
const RESULT = /^(?:created|updated|unchanged): /;

const COUNTED: Record<string, string> = {
  create: "made",
  update: "changed",
  replace: "made anew",
  delete: "removed",
};

export class Progress {
  readonly #command: string;
  readonly #began: number;
  readonly #steps = new Map<string, Step>();
  readonly #said = new Set<string>();
  readonly #failures: string[] = [];
  readonly #output = new Map<string, string[]>();
  /** Whether something was done to a resource. */
  #hasBegun = false;

  /** @param command of the engine @param now in milliseconds, as everywhere here */
  constructor(command: string, now: number) {
    this.#command = command;
    this.#began = now;
  }

  /** Takes in what has happened. @returns the lines that stay */
  add(event: EngineEvent, now: number): string[] {
    const { resourcePreEvent: begun, resOutputsEvent: ended, resOpFailedEvent: failed } = event;
    if (begun) this.#begin(begun.metadata, now);
    if (ended) return this.#end(ended.metadata, now);
    if (failed) this.#fail(failed.metadata);
    if (event.diagnosticEvent) return this.#hear(event.diagnosticEvent);
    if (event.policyEvent) return this.#once(event.policyEvent.message.trim());
    if (event.summaryEvent) return this.#sum(event.summaryEvent, now);
    return [];
  }

  /** What goes on, a line each, the longest first. */
  live(now: number): string[] {
    const steps = [...this.#steps.values()].sort((a, b) => a.since - b.since);
    if (steps.length === 0) return [`${this.#between()}: ${time(this.#began, now)}`];
    return steps.map(({ doing, detail, since }) => `${doing}${detail && `: ${detail}`}, ${time(since, now)}`);
  }

  /** Why the engine failed, by its own words; empty where it did not say. */
  failure(): string[] {
    return this.#failures;
  }

  /** What it does while nothing is done to a resource. */
  #between(): string {
    return this.#hasBegun ? "ending" : (WORDS[this.#command] ?? this.#command);
  }

  #begin({ op, urn }: Metadata, now: number): void {
    const type = typeOf(urn);
    if (IDLE.test(op) || GROUPS.test(type)) return;
    this.#hasBegun = true;
    const [doing, done] = words(op, resourceName(urn));
    const build = type === "docker:index/image:Image" && op !== "delete" ? new BuildSteps() : undefined;
    this.#steps.set(urn, { doing, done, since: now, detail: "", notes: [], isNoting: false, build });
  }

  #end({ urn }: Metadata, now: number): string[] {
    const step = this.#steps.get(urn);
    if (!step) return [];
    this.#steps.delete(urn);
    const took = ` (${time(step.since, now)})`;
    const isLong = now - step.since >= WORTH_A_LINE_MS;
    const result = step.notes.at(-1)?.match(TOPIC)?.[1];
    if (result && RESULT.test(result)) step.notes.push(`${step.notes.pop()}${isLong ? took : ""}`);
    else if (isLong) step.notes.push(`${step.done}${took}`);
    return step.notes.flatMap((note) => this.#once(note));
  }

  #fail({ urn }: Metadata): void {
    const output = this.#steps.get(urn)?.build?.output;
    if (output) this.#output.set(urn, output);
    this.#steps.delete(urn);
  }

  #hear({ urn = "", message, severity }: { urn?: string; message: string; severity: string }): string[] {
    if (severity === "debug") return [];
    if (severity === "error") {
      this.#failures.push(...this.#error(urn, message.trim()));
      return [];
    }
    const lines = message.split("\n").filter((line) => line.trim() !== "");
    if (severity === "warning") return this.#once(`warning: ${lines.join("\n")}`);
    const step = this.#steps.get(urn);
    if (step?.build) return lines.flatMap((line) => this.#build(step, step.build as BuildSteps, line));
    if (typeOf(urn).startsWith("command:") || step) {
      if (step) for (const line of lines) hearScript(step, line);
      return [];
    }
    return lines.flatMap((line) => this.#once(line));
  }

  #build(step: Step, build: BuildSteps, line: string): string[] {
    const ended = build.add(line);
    step.detail = build.doing;
    const [what] = step.doing.split(":");
    return ended.map((each) => `${what}: ${each}`);
  }

  #error(urn: string, message: string): string[] {
    // The engine's last word, which says nothing of why.
    if (/^(update|preview|refresh|destroy) failed$/.test(message)) return [];
    const lines = message
      .replace(/^(exit status \d+|signal: \S+): running "(?:[^"\\]|\\.)*":\n/, "")
      .split("\n");
    const printed = this.#steps.get(urn)?.build?.output ?? this.#output.get(urn) ?? [];
    const whole = [...printed.filter((line) => !message.includes(line.trim())), ...lines];
    const type = typeOf(urn);
    // Scripts name themselves, and the program its keys.
    const isNamed = type === "" || GROUPS.test(type) || type.startsWith("command:");
    const named = isNamed ? [] : [`${resourceName(urn).replaceAll("-", " ")} failed:`];
    return [...named, ...shorten(whole)].filter((line) => this.#once(line).length > 0);
  }

  #sum({ resourceChanges = {}, result }: NonNullable<EngineEvent["summaryEvent"]>, now: number): string[] {
    if (result === "failed") return [];
    const counts = Object.entries(COUNTED).flatMap(([op, word]) => {
      const count = resourceChanges[op] ?? 0;
      return count > 0 ? [`${count} ${word}`] : [];
    });
    if (counts.length === 0)
      return this.#command === "refresh" ? ["the state is as things are: nothing has changed"] : [];
    const { same = 0 } = resourceChanges;
    return [
      `resources: ${[...counts, ...(same ? [`${same} unchanged`] : [])].join(", ")} (${time(this.#began, now)})`,
    ];
  }

  /** A line that was not said before. */
  #once(line: string): string[] {
    if (this.#said.has(line)) return [];
    this.#said.add(line);
    return [line];
  }
}

/** Until something is done to a resource. */
const WORDS: Record<string, string> = {
  up: "finding out what there is to do",
  refresh: "looking at what there is",
  destroy: "finding out what there is to remove",
};

const time = (since: number, now: number) => formatSeconds((now - since) / 1000);

function words(op: string, name: string): [string, string] {
  const kind = /^(create|update)/.test(op) ? KINDS.find(([ending]) => ending.test(name)) : undefined;
  if (kind) return [name.replace(kind[0], kind[1]), name.replace(kind[0], kind[2])];
  const [doing, done] = OTHERS[op] ?? ["looking at", "looked at"];
  const what = name.replaceAll("-", " ");
  return [`${doing} ${what}`, `${what}: ${done}`];
}

function hearScript(step: Step, line: string): void {
  const [, said] = TOPIC.exec(line) ?? (OWN.test(line) ? [line, line] : []);
  // A line that is indented goes on with the one before.
  const isNote = said === undefined ? line.startsWith("  ") && step.isNoting : !PASSING.test(said);
  step.isNoting = isNote;
  if (isNote) step.notes.push(line);
  else step.detail = said ?? line.trim();
}

function shorten(lines: string[]): string[] {
  const { first, last } = ERROR_LINES;
  return lines.length <= first + last + 1 ? lines : [...lines.slice(0, first), "…", ...lines.slice(-last)];
}
