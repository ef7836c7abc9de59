/** Where the Docker daemon is, and whether it is there. */
import { UserError } from "../../errors.ts";
import { askDocker, howToBeAllowed, isDenied } from "../../machine/docker/api.ts";
import { stackCommand } from "../stack.ts";

/** What a daemon says when it is asked whether it is there. */
export type Ping = "ok" | "denied" | "silent";

/** Asks a daemon whether it is there; `silent` after `patience` milliseconds. */
export async function pingDocker(host: string, patience = 5_000): Promise<Ping> {
  try {
    await askDocker(host, "/_ping", patience);
    return "ok";
  } catch (error) {
    return isDenied(error) ? "denied" : "silent";
  }
}

/** What to tell the person when a question to a daemon failed. */
export function daemonProblem(host: string, error: unknown, stack: string): UserError {
  if (isDenied(error)) return new UserError(howToBeAllowed(host));
  const reason = error instanceof Error ? error.message : String(error);
  return new UserError(
    `no Docker daemon answers at ${host} (${reason}): run \`${stackCommand("up", stack)}\`, which starts it or says what to do`,
  );
}

/** What a daemon has against what its client asked for, in a line. @throws UserError where it does not answer at all */
export function daemonsWord(host: string, error: unknown, stack: string): string {
  const { statusCode, json, message } = error as Error & { statusCode?: number; json?: { message?: string } };
  if (statusCode === undefined) throw daemonProblem(host, error, stack);
  return (json?.message ?? message).trim().replace(/\s*\n\s*/g, "; ");
}

export { DEFAULT_DOCKER_HOST } from "../../machine/docker/endpoint.ts";
