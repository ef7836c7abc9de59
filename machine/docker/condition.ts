/** What a container is at, in a person's words. Pure. */

/** `up` for Docker's `running`, `stopped` or `failed` for its `exited`; else Docker's own word. */
export type Condition =
  | "up"
  | "stopped"
  | "failed"
  | "paused"
  | "restarting"
  | "created"
  | "dead"
  | "removing";

/** The condition that Docker has a word for: `running`, `exited`, `paused` … */
export function conditionOf(state: string): Condition {
  if (state === "running") return "up";
  return state === "exited" ? "stopped" : (state as Condition);
}

/** From here on an exit code says which signal ended a program: whoever stops a container sends one. */
const BY_SIGNAL = 128;

/** The condition of a container, once it is known how it ended: one that nobody stopped has failed. */
export function endedAs(condition: Condition, exitCode = 0): Condition {
  return condition === "stopped" && exitCode > 0 && exitCode < BY_SIGNAL ? "failed" : condition;
}

/** What Docker says of a container. */
export interface Said {
  condition: Condition;
  /** Whether its check fails: it runs, and does not answer. */
  unhealthy: boolean;
  /** Of one that does not run: that of its program. */
  exitCode?: number;
  /** Whether its check has not passed yet since it was last started: it comes up, or stops again soon, and again. */
  starting: boolean;
}

/** Reads the sentence by which `docker ps` tells of a container: `Up 3 minutes (unhealthy)`, `Restarting (1) 5 seconds ago`. */
export function readStatus(status: string): Said {
  const [word = ""] = /^\w+/.exec(status) ?? [];
  const state = /\(Paused\)$/.test(status) ? "paused" : (STATES[word] ?? word.toLowerCase());
  const [, code] = /^(?:Exited|Restarting) \((\d+)\)/.exec(status) ?? [];
  const exitCode = code === undefined ? undefined : Number(code);
  return {
    condition: endedAs(conditionOf(state), exitCode),
    ...(exitCode !== undefined && { exitCode }),
    unhealthy: status.endsWith("(unhealthy)"),
    starting: /\((health: )?starting\)$/.test(status),
  };
}

/** Whether Docker's own check has passed, so that there is nothing to ask. */
export const isWell = ({ condition, unhealthy, starting }: Said): boolean =>
  condition === "up" && !unhealthy && !starting;

/** Docker's words for states, by those that its sentences begin with, where these differ. */
const STATES: Record<string, string> = { Up: "running", Removal: "removing" };

/** A new container fixes neither: what a person installed is in the home volume. */
const PERHAPS = "perhaps a package you installed, or the configuration";

/**
 * What to say of a notebook in this condition, and how to fix it; undefined where it runs, or was simply stopped.
 *
 * @param start the command that brings its stack up
 */
export function explain(
  name: string,
  { condition, unhealthy, exitCode }: Pick<Said, "condition" | "unhealthy" | "exitCode">,
  start: string,
): string | undefined {
  switch (condition) {
    case "up":
      return unhealthy
        ? `${name} runs but does not answer: \`docker logs ${name}\` shows what it does; \`docker restart ${name}\` restarts it, and what kernels have in memory is lost`
        : undefined;
    case "stopped":
      return undefined;
    case "failed":
      return `${name} ended by itself, with exit code ${exitCode}: \`docker logs ${name}\` shows why, ${PERHAPS}; \`${start}\` starts it again`;
    case "paused":
      return `${name} is paused: \`${start}\` resumes it`;
    case "created":
      return `${name} was created but has not run yet: \`${start}\` starts it`;
    case "restarting":
      return `${name} keeps stopping: \`docker logs ${name}\` shows why (${PERHAPS}); \`${start}\` recreates it`;
    default:
      return `${name} is ${condition}, as Docker calls one that it could not remove: \`${start}\` recreates it`;
  }
}

/**
 * What to say of a notebook that was started and does not answer.
 *
 * @param why it does not
 * @param logs the command that follows its log
 */
export function explainSilence(name: string, why: string, logs: string): string {
  return `${name} was started but does not answer (${why}): \`docker logs ${name}\`, or \`${logs}\`, shows why (${PERHAPS})`;
}
