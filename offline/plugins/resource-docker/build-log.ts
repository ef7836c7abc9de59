import type { BuildStatus } from "../../../machine/docker/image-build.ts";
import type { Log } from "../shared/engine.ts";

/** A step, as far as it was told of. */
interface Step {
  name: string;
  announced: boolean;
  ended: boolean;
  output: string;
  /** When it began, in milliseconds since the epoch. */
  since: number;
}

const linesKept = 20;

/** How often a log is told how far something is that goes on, in milliseconds. */
export const TICK = 10_000;

/** In characters: the engine puts some 40 before it. */
const titleLength = 72;

/** Tells the engine how a build goes: a line that stays per step, and what the steps print as passing status. */
export class BuildLog {
  readonly #log: Pick<Log, "info" | "status">;
  readonly #steps = new Map<string, Step>();
  #failed: string | undefined;

  constructor(log: Pick<Log, "info" | "status">) {
    this.#log = log;
  }

  add({ vertexes, logs }: BuildStatus): void {
    for (const vertex of vertexes) this.#step(vertex);
    for (const { vertex, msg } of logs) {
      const step = this.#steps.get(vertex);
      if (step === undefined) continue;
      const text = Buffer.from(msg).toString();
      step.output = tail(step.output + text);
      const last = text
        .trim()
        .split(/[\r\n]+/)
        .at(-1);
      if (last) this.#log.status(`${titleOf(step.name)}: ${last}`);
    }
  }

  /** Says how far the steps are that go on, for whoever reads a log, in which passing status is not. */
  tick(now: number = Date.now()): void {
    for (const { name, announced, ended, output, since } of this.#steps.values()) {
      if (!announced || ended) continue;
      const last = output
        .trim()
        .split(/[\r\n]+/)
        .at(-1);
      this.#log.info(
        `${titleOf(name)}: ${Math.round((now - since) / 1000)} s so far${last ? `: ${last}` : ""}`,
      );
    }
  }

  /** The step that failed and the last it printed; undefined when none did. */
  get failure(): string | undefined {
    const step = this.#failed === undefined ? undefined : this.#steps.get(this.#failed);
    return (
      step &&
      `step ${step.name} failed${step.output.trim() ? `; its last output:\n${step.output.trim()}` : ""}`
    );
  }

  #step({ digest, name, cached, started, completed, error }: BuildStatus["vertexes"][number]): void {
    const step = this.#steps.get(digest) ?? {
      name,
      announced: false,
      ended: false,
      output: "",
      since: Date.now(),
    };
    this.#steps.set(digest, step);
    if (error) this.#failed ??= digest;
    // The builder's own steps say nothing to the person.
    if (/^(\[internal\]|copy \/context)/.test(name)) return;
    if (started && !step.announced) {
      step.announced = true;
      step.since = Date.now();
      this.#log.info(cached ? `${titleOf(name)} (cached)` : titleOf(name));
    }
    if (!started || !completed || step.ended) return;
    step.ended = true;
    const seconds = completed.seconds - started.seconds + (completed.nanos - started.nanos) / 1e9;
    if (seconds >= 1 && !error) this.#log.info(`${titleOf(name)}: done in ${seconds.toFixed(1)} s`);
  }
}

/** What is shown of a step: a command of many lines says less than its beginning does. */
function titleOf(name: string): string {
  const title = name.replace(/--mount=\S+\s+/g, "").replace(/\s+/g, " ");
  return title.length > titleLength ? `${title.slice(0, titleLength - 1)}…` : title;
}

function tail(text: string): string {
  return text
    .split("\n")
    .slice(-linesKept - 1)
    .join("\n");
}
