/** Where the Docker daemon is, and whether it is there. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { UserError } from "../../errors.ts";
import {
  askDocker,
  DEFAULT_DOCKER_HOST,
  elsewhere,
  howToBeAllowed,
  isDenied,
} from "../../machine/docker/api.ts";
import { shown } from "../../text/words.ts";
import { npmCommand } from "../stack.ts";
import type { Env } from "../system/run.ts";

export {
  askDocker,
  DEFAULT_DOCKER_HOST,
  dockerClient,
  howToBeAllowed,
} from "../../machine/docker/api.ts";

/** Where a daemon is looked for. */
export interface DockerAddress {
  /** As in DOCKER_HOST. */
  host: string;
  /** Who says so: a daemon that somebody names is theirs to start. */
  from: "DOCKER_HOST" | "context" | "default" | "ssh";
}

/** What Docker's clients take for one, all of them. */
const ADDRESS =
  /^(unix:\/\/\/[^\p{Cc}]+|npipe:\/\/[^\p{Cc}]+|ssh:\/\/[^\p{Cc}]+|(tcp|https?):\/\/[^/\s\p{Cc}]+\/?)$/u;

/** What a daemon says when it is asked whether it is there. */
export type Ping = "ok" | "denied" | "silent";

/**
 * Where the daemon of a stack on this machine is, by the rules of Docker's own client: DOCKER_HOST, the context, the default socket.
 *
 * @throws UserError when the context is none that is there, or the daemon is another machine's
 */
export function dockerAddress(env: Env): DockerAddress {
  const address = findAddress(env);
  const from = address.from === "context" ? "your Docker context" : address.from;
  const instead = address.from === "context" ? "run `docker context use default`" : "unset DOCKER_HOST";
  if (!ADDRESS.test(address.host)) {
    throw new UserError(
      `${from} names ${shown(address.host)}, which is no address of a Docker daemon: one is like ${DEFAULT_DOCKER_HOST} or tcp://127.0.0.1:2375. For the daemon of this machine, ${instead}, and run the same again`,
    );
  }
  const problem = elsewhere(address.host, from, "Pulumi.<stack>.yaml");
  if (problem === undefined) return address;
  throw new UserError(`${problem}\nFor one on this machine, ${instead}.`);
}

function findAddress(env: Env): DockerAddress {
  if (env.DOCKER_HOST) return { host: env.DOCKER_HOST, from: "DOCKER_HOST" };
  const host = readContext(env);
  if (host && host !== DEFAULT_DOCKER_HOST) return { host, from: "context" };
  return { host: DEFAULT_DOCKER_HOST, from: "default" };
}

/** Endpoint of the current context of Docker's client, or undefined for the default one. */
function readContext(env: Env): string | undefined {
  const folder = env.DOCKER_CONFIG || join(env.HOME || homedir(), ".docker");
  const settings = join(folder, "config.json");
  const name = env.DOCKER_CONTEXT || readJson(settings)?.currentContext;
  if (typeof name !== "string" || name === "" || name === "default") return undefined;
  const contexts = join(folder, "contexts", "meta");
  const read = (id: string) => readJson(join(contexts, id, "meta.json"));
  const context = read(createHash("sha256").update(name).digest("hex"));
  if (context) return context.Endpoints?.docker?.Host;
  const ids = existsSync(contexts) ? readdirSync(contexts) : [];
  const names = ["default", ...ids.flatMap((id) => read(id)?.Name ?? [])];
  throw new UserError(
    `there is no Docker context ${name}, which ${env.DOCKER_CONTEXT ? "DOCKER_CONTEXT" : settings} names; there is ${names.join(", ")}: ${
      env.DOCKER_CONTEXT
        ? "unset DOCKER_CONTEXT, or have it name one of them"
        : "run `docker context use` with one of them"
    }, and run the same again`,
  );
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
export function daemonProblem(host: string, error: unknown, stack: string): UserError {
  if (isDenied(error)) return new UserError(howToBeAllowed(host));
  const reason = error instanceof Error ? error.message : String(error);
  return new UserError(
    `no Docker daemon answers at ${host} (${reason}): run \`${npmCommand("start", stack)}\`, which starts it or says what to do`,
  );
}

/** What a daemon has against what its client asked for, in a line. @throws UserError where it does not answer at all */
export function daemonsWord(host: string, error: unknown, stack: string): string {
  const { statusCode, json, message } = error as Error & { statusCode?: number; json?: { message?: string } };
  if (statusCode === undefined) throw daemonProblem(host, error, stack);
  return (json?.message ?? message).trim().replace(/\s*\n\s*/g, "; ");
}
