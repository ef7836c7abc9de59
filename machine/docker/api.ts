/** Asking a Docker daemon: by a plain request where that does, which costs a tenth of loading a whole client. */
import { readFileSync, statSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import type Docker from "dockerode";
import { userName } from "../person.ts";
import { SOCKET } from "./endpoint.ts";

/** The daemon's answer to a question it did not like. */
export class DockerError extends Error {
  /** HTTP status, e.g. 500. */
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** How a person gets to be allowed to use a daemon. */
export function howToBeAllowed(host: string): string {
  const group = joinedGroup(host);
  if (group !== undefined)
    return `you may not use the Docker daemon at ${host}: you are in the group ${group}, but this login is older: log out and in again, or run \`newgrp ${group}\`, and try again`;
  return `you may not use the Docker daemon at ${host}: run \`sudo usermod -aG docker $USER\`, log out and in again, and try again`;
}

/** The group of a daemon's socket, where the person has joined it since the login: groups count from a login on. */
export function joinedGroup(
  host: string,
  person: { name: string; groups: number[] } = { name: userName(), groups: process.getgroups?.() ?? [] },
  groupFile = "/etc/group",
): string | undefined {
  try {
    const { gid } = statSync(host.slice(SOCKET.length));
    const entries = readFileSync(groupFile, "utf8").split("\n");
    const [name, , , members = ""] =
      entries.map((line) => line.split(":")).find((entry) => Number(entry[2]) === gid) ?? [];
    return members.split(",").includes(person.name) && !person.groups.includes(gid) ? name : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a question to a daemon failed because it is not to be asked by this person. */
export function isDenied(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EACCES";
}

/** A client of the daemon at an address, as in DOCKER_HOST; `timeout` in milliseconds, none by default. */
export function dockerClient(host: string, timeout?: number): Docker {
  // Loaded here: it brings clients of gRPC and SSH with it, and most commands need none of it.
  const Client: typeof Docker = createRequire(import.meta.url)("dockerode");
  // dockerode's own reading of an address; it takes it from the environment alone.
  const before = process.env.DOCKER_HOST;
  process.env.DOCKER_HOST = host;
  try {
    return new Client({ timeout });
  } finally {
    if (before === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = before;
  }
}

/**
 * What the daemon answers to a GET.
 *
 * @param host the daemon, as in DOCKER_HOST
 * @param path of the Engine API, e.g. `/containers/container1/json`
 * @param patience in milliseconds; for ever by default
 * @returns undefined where there is no such thing
 * @throws DockerError, or what the system says where no daemon answers
 */
export async function askDocker<T>(host: string, path: string, patience?: number): Promise<T | undefined> {
  try {
    const ask = host.startsWith(SOCKET) ? askSocket : askWithClient;
    return (await ask(host, path, patience)) as T;
  } catch (error) {
    if ((error as Partial<DockerError>).statusCode === 404) return undefined;
    throw error;
  }
}

async function askSocket(host: string, path: string, patience?: number): Promise<unknown> {
  // Not imported: an import of node:http loads fetch and WebSocket as well, three times as long.
  const { get } = process.getBuiltinModule("node:http");
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const signal = patience === undefined ? undefined : AbortSignal.timeout(patience);
    // A connection of its own: a kept one may be to a daemon that was restarted meanwhile.
    get({ socketPath: host.slice(SOCKET.length), path, signal, agent: false }, resolve).on("error", reject);
  });
  const text = (await response.setEncoding("utf8").toArray()).join("");
  const body = response.headers["content-type"]?.includes("json") ? JSON.parse(text) : text;
  if (response.statusCode === 200) return body;
  throw new DockerError(response.statusCode ?? 0, body?.message ?? text);
}

function askWithClient(host: string, path: string, patience?: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = { path, method: "GET", statusCodes: { 200: true } };
    dockerClient(host, patience).modem.dial(request, (error: unknown, body: unknown) =>
      error ? reject(error) : resolve(body),
    );
  });
}
