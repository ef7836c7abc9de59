/** Where the Docker daemon of a stack on this machine is: the one place that decides it, for the commands and the program alike. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { UserError } from "../../errors.ts";
import { shown } from "../../text/words.ts";

type Env = Record<string, string | undefined>;

/** What the address of a daemon on a socket of this machine begins with. */
export const SOCKET = "unix://";

export const DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock";

/** The socket where a daemon of this machine is: the usual one, else Docker Desktop's. */
function localSocket(home = homedir()): string {
  const sockets = [DEFAULT_DOCKER_HOST, `${SOCKET}${home}/.docker/run/docker.sock`];
  return sockets.find((host) => existsSync(host.slice(SOCKET.length))) ?? DEFAULT_DOCKER_HOST;
}

/** The daemon that the Docker provider uses where it is told none: DOCKER_HOST, else that of this machine. It knows no contexts. */
export function providerEndpoint(env: Env = process.env): string {
  return env.DOCKER_HOST || localSocket();
}

/** What to tell a person whose DOCKER_HOST, or Docker context, is another machine's by ssh; undefined where it is not. */
export function elsewhere(host: string, from: string, stackFile: string): string | undefined {
  if (!host.startsWith("ssh://")) return undefined;
  // `[` and `]` are around an address of IPv6's.
  const { user, address, port } =
    /^ssh:\/\/((?<user>[^@/]*)@)?\[?(?<address>[^\]/]*?)\]?(:(?<port>\d+))?(\/|$)/.exec(host)?.groups ?? {};
  const keys = { kind: "ssh", address, user, port };
  return [
    `${from} names ${host}, the Docker daemon of another machine, but this stack has its code and data on this one (kind: local).`,
    `For a stack on that machine, write in ${stackFile}:`,
    "  config:",
    "    gpubox:host:",
    ...Object.entries(keys).flatMap(([key, value]) => (value ? [`      ${key}: ${value}`] : [])),
  ].join("\n");
}

/** Where a daemon is looked for. */
export interface DockerEndpoint {
  /** As in DOCKER_HOST. */
  host: string;
  /** Who says so: a daemon that somebody names is theirs to start. */
  from: "DOCKER_HOST" | "context" | "default" | "ssh";
}

/** What Docker's clients take for one, all of them. */
const ADDRESS =
  /^(unix:\/\/\/[^\p{Cc}]+|npipe:\/\/[^\p{Cc}]+|ssh:\/\/[^\p{Cc}]+|(tcp|https?):\/\/[^/\s\p{Cc}]+\/?)$/u;

/**
 * Where the daemon of a stack on this machine is, by the rules of Docker's own client: DOCKER_HOST, the context, the socket of
 * this machine.
 *
 * @throws UserError when the context is none that is there, or the daemon is another machine's
 */
export function dockerEndpoint(env: Env): DockerEndpoint {
  const address = findEndpoint(env);
  const from = address.from === "context" ? "your Docker context" : address.from;
  const instead = address.from === "context" ? "run `docker context use default`" : "unset DOCKER_HOST";
  if (!ADDRESS.test(address.host)) {
    throw new UserError(
      `${from} names ${shown(address.host)}, which is not the address of a Docker daemon: one looks like ${DEFAULT_DOCKER_HOST} or tcp://127.0.0.1:2375. For the daemon of this machine, ${instead}, and try again`,
    );
  }
  const problem = elsewhere(address.host, from, "Pulumi.<stack>.yaml");
  if (problem === undefined) return address;
  throw new UserError(`${problem}\nFor one on this machine, ${instead}.`);
}

function findEndpoint(env: Env): DockerEndpoint {
  if (env.DOCKER_HOST) return { host: env.DOCKER_HOST, from: "DOCKER_HOST" };
  const host = readContext(env);
  if (host && host !== DEFAULT_DOCKER_HOST) return { host, from: "context" };
  return { host: localSocket(env.HOME || homedir()), from: "default" };
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
    }, and try again`,
  );
}

function readJson(path: string) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
