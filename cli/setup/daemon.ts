/** Where the Docker daemon is, and whether it is there. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import {
  askDocker,
  DEFAULT_DOCKER_HOST,
  howToBeAllowed,
  isDenied,
} from "../../components/host/docker-api.ts";
import type { Env } from "../run.ts";
import { Problem } from "../say.ts";

export {
  askDocker,
  DEFAULT_DOCKER_HOST,
  dockerClient,
  howToBeAllowed,
} from "../../components/host/docker-api.ts";

/** Where a daemon is looked for. */
export interface DockerAddress {
  /** As in DOCKER_HOST. */
  host: string;
  /** Who says so: a daemon that somebody names is theirs to start. */
  from: "DOCKER_HOST" | "context" | "default" | "ssh";
}

/** What a daemon says when it is asked whether it is there. */
export type Ping = "ok" | "denied" | "silent";

/** Where the daemon is, by the rules of Docker's own client: DOCKER_HOST, the context, the default socket. */
export function dockerAddress(env: Env, readContext = readContextFile): DockerAddress {
  if (env.DOCKER_HOST) return { host: env.DOCKER_HOST, from: "DOCKER_HOST" };
  const host = readContext(env);
  if (host && host !== DEFAULT_DOCKER_HOST) return { host, from: "context" };
  return { host: DEFAULT_DOCKER_HOST, from: "default" };
}

/** Endpoint of the current context of Docker's client, or undefined for the default one. */
function readContextFile(env: Env): string | undefined {
  const folder = env.DOCKER_CONFIG || join(env.HOME || homedir(), ".docker");
  const name = env.DOCKER_CONTEXT || readJson(join(folder, "config.json"))?.currentContext;
  if (typeof name !== "string" || name === "" || name === "default") return undefined;
  const id = createHash("sha256").update(name).digest("hex");
  return readJson(join(folder, "contexts", "meta", id, "meta.json"))?.Endpoints?.docker?.Host;
}

function readJson(path: string) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

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
export function daemonProblem(host: string, error: unknown): Problem {
  if (isDenied(error)) return new Problem(howToBeAllowed(host));
  const reason = error instanceof Error ? error.message : String(error);
  return new Problem(
    `no Docker daemon answers at ${host} (${reason}): run \`npm start\`, which starts it or says what to do`,
  );
}

/** What a daemon has against what its client asked for, in a line. @throws Problem where it does not answer at all */
export function daemonsWord(host: string, error: unknown): string {
  const { statusCode, json, message } = error as Error & { statusCode?: number; json?: { message?: string } };
  if (statusCode === undefined) throw daemonProblem(host, error);
  return (json?.message ?? message).trim().replace(/\s*\n\s*/g, "; ");
}
