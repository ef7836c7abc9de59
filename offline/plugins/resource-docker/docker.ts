import { Agent } from "node:http";
import type { Socket } from "node:net";
import { homedir } from "node:os";
import { setTimeout as after } from "node:timers/promises";
import Docker from "dockerode";
import { z } from "zod";
import { dialStdio } from "../../../machine/docker/dial-stdio.ts";

/** Arguments of docker.Provider. */
export const providerSchema = z.strictObject({
  host: z.string().nullish(),
  // The SDK sends lists as JSON.
  sshOpts: z.string().nullish(),
  registryAuth: z.string().nullish(),
});

const logins = z.array(z.strictObject({ address: z.string(), username: z.string(), password: z.string() }));

/** Logins at registries. */
export type Logins = z.infer<typeof logins>;

/** The logins that the provider's arguments have. @throws when they are of a kind that the stand-in does not know */
export function loginsOf({ registryAuth }: z.infer<typeof providerSchema>): Logins {
  return registryAuth ? logins.parse(JSON.parse(registryAuth)) : [];
}

/** The registry under which the official plugin looks for an image's login. */
export function loginAddress(image: string): string {
  const [first = "", ...rest] = image.split("/");
  const isRegistry = rest.length > 1 || (rest.length === 1 && (/[.:]/.test(first) || first === "localhost"));
  return isRegistry ? first : "registry-1.docker.io";
}

const secondsToAnswer = 30;

/**
 * A client of the daemon that the provider's arguments name, by default that of DOCKER_HOST, else the one of this
 * machine. An ssh:// host is not connected to before it is needed.
 *
 * @throws when the host cannot be reached
 */
export async function connect({ host, sshOpts }: z.infer<typeof providerSchema>): Promise<Docker> {
  const asked = host || process.env.DOCKER_HOST;
  if (asked?.startsWith("ssh://")) return clientOf(asked, sshOpts ? JSON.parse(sshOpts) : []);
  const home = homedir();
  const hosts = asked
    ? [asked]
    : [
        "unix:///var/run/docker.sock",
        `unix://${home}/.docker/run/docker.sock`,
        `unix://${home}/.docker/desktop/docker.sock`,
      ];
  const failures: string[] = [];
  for (const candidate of hosts) {
    const client = clientOf(candidate, []);
    try {
      await Promise.race([client.ping(), noAnswer()]);
      return client;
    } catch (error) {
      failures.push(`${candidate}: ${reason(error)}`);
    }
  }
  throw new Error(
    `failed to connect to any docker daemon (${failures.join("; ")}): ` +
      `start it, or set the provider's host or DOCKER_HOST; \`docker -H ${hosts[0]} version\` shows whether it answers`,
  );
}

async function noAnswer(): Promise<never> {
  await after(secondsToAnswer * 1000, undefined, { ref: false });
  throw new Error(`no answer within ${secondsToAnswer} s`);
}

function clientOf(host: string, sshOpts: string[]): Docker {
  // What the client would take from the environment it would mix with what it is told here.
  delete process.env.DOCKER_HOST;
  const [, scheme, rest = ""] = /^(\w+):\/\/(.+)$/.exec(host) ?? [];
  if (scheme === "unix") return new Docker({ socketPath: rest });
  if (scheme === "tcp" && !process.env.DOCKER_TLS_VERIFY) {
    const { hostname, port } = new URL(`http://${rest}`);
    return new Docker({ protocol: "http", host: hostname, port: port || 2375 });
  }
  if (scheme === "ssh") {
    const agent = new SshAgent(new URL(host), sshOpts);
    // The types lack `agent`.
    return new Docker({ protocol: "http", host: "docker", port: 80, agent } as Docker.DockerOptions);
  }
  throw new Error(
    `docker host "${host}" is not supported by the stand-in plugin: give unix:///path, tcp://host:port (no TLS) or ssh://user@host`,
  );
}

/** Speaks to a daemon through `docker system dial-stdio` on its machine, over the person's own ssh. */
class SshAgent extends Agent {
  readonly #command: string[];

  constructor({ hostname, port, username }: URL, options: string[]) {
    super({ keepAlive: true });
    this.#command = [
      "ssh",
      ...(username ? ["-l", decodeURIComponent(username)] : []),
      ...(port ? ["-p", port] : []),
      ...options,
      ...["-o", "ConnectTimeout=30", "-T", "--", hostname, "docker", "system", "dial-stdio"],
    ];
  }

  override createConnection(): Socket {
    return dialStdio(this.#command);
  }
}

/** The HTTP status of the daemon's answer, when the error is one. */
export function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number }).statusCode;
}

/** What the daemon said is wrong, without the client's wrapping. */
export function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^\(HTTP code \d+\) [^-]* - /, "").trim();
}

/** The result, or undefined where the daemon does not know the thing. */
export async function found<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** Awaits the request and says, when it fails, what was being done. */
export async function doing<T>(what: string, request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    throw new Error(`${what}: ${reason(error)}`, { cause: error });
  }
}

const secondsToRemove = 30;

/** Removes something that may be gone already; while the daemon says `busy` it is tried again, for 30 s. */
export async function removing(busy: string, remove: () => Promise<unknown>): Promise<void> {
  for (let second = 0; ; second++) {
    try {
      await remove();
      return;
    } catch (error) {
      if (statusOf(error) === 404) return;
      if (second >= secondsToRemove || !reason(error).includes(busy)) throw error;
      await after(1000);
    }
  }
}
