/** The login at a registry with which an image is pulled: the person's own, as `docker login` on this machine left it. */
import { type ExecFileException, execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ImageConfig } from "../../config/schema.ts";
import { inLine } from "../../text/legible.ts";

/** The part of Docker's config.json that is read here. */
export interface DockerConfig {
  /** By registry; empty where a helper keeps the password. */
  auths?: Record<string, { auth?: string; username?: string; password?: string } | undefined>;
  /** Helper for the registries that have none of their own. */
  credsStore?: string;
  /** By registry. */
  credHelpers?: Record<string, string>;
}

/** A login as the provider takes it. */
export interface RegistryAuth {
  address: string;
  username: string;
  password: string;
}

type Env = Record<string, string | undefined>;

const DOCKER_HUB = "docker.io";
/** What Docker calls its Hub where it keeps logins, and what others do. */
const HUB_KEYS = ["https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB, "registry-1.docker.io"];
/** Where the provider looks for the login of an image whose name has no registry. */
const HUB_ADDRESS = "registry-1.docker.io";

/** Longest wait for a helper, in milliseconds: some ask a cloud. */
const PATIENCE_MS = 30_000;
/** Longest answer of a helper, in bytes: some passwords are tokens of several thousand. */
const LONGEST_ANSWER = 1 << 20;
/** How much is shown of what a helper complains of, in letters. */
const LONGEST_COMPLAINT = 200;

/** The registry of an image, by Docker's rule: the first part is one where it looks like a host. */
export function registryOf(reference: string): string {
  const [first = "", ...rest] = reference.split("/");
  return rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : DOCKER_HUB;
}

/** The person's configuration of Docker; empty where there is none that can be read. */
export function readDockerConfig(env: Env): DockerConfig {
  const folder = env.DOCKER_CONFIG || join(env.HOME || homedir(), ".docker");
  try {
    return JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) ?? {};
  } catch {
    return {};
  }
}

/** The value that a table of Docker's has for a registry, and the key it stands at. Some keys are urls. */
function entry<T>(
  table: Record<string, T> | undefined,
  registry: string,
): { key: string; value: T } | undefined {
  const host = (key: string) => key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  const names = registry === DOCKER_HUB ? HUB_KEYS : [registry];
  const [found] = Object.entries(table ?? {}).filter(
    ([key]) => names.includes(key) || names.includes(host(key)),
  );
  return found && { key: found[0], value: found[1] };
}

/** The helper that has the login of a registry; undefined where the file itself would have it. Pure. */
export function helperOf(registry: string, { credsStore, credHelpers }: DockerConfig): string | undefined {
  return entry(credHelpers, registry)?.value || credsStore || undefined;
}

/** Whether `docker login` was ever done for a registry, or a helper is named for it alone. Pure. */
export function hasLogin(registry: string, { auths, credHelpers }: DockerConfig): boolean {
  return entry(auths, registry) !== undefined || entry(credHelpers, registry) !== undefined;
}

/** The command that logs in at a registry. */
export function dockerLogin(registry: string): string {
  return registry === DOCKER_HUB ? "docker login" : `docker login ${registry}`;
}

/** What to do about a program that Docker asks for the passwords of registries, and that is not there. */
export function missingHelper(helper: string): string {
  return `the credential helper docker-credential-${helper}, which Docker's config.json (in ~/.docker, or DOCKER_CONFIG) names, is not on PATH: install it, or take its name out of \`credsStore\` or \`credHelpers\` there`;
}

/**
 * The login that an image is pulled with, on whatever machine its daemon is.
 *
 * @returns the login; or why one that the person has made cannot be used; or neither, where there is none
 */
export async function registryLogin(
  image: ImageConfig,
  env: Env = process.env,
): Promise<{ auth?: RegistryAuth; problem?: string }> {
  if (!("pull" in image)) return {};
  const registry = registryOf(image.pull);
  const config = readDockerConfig(env);
  if (!hasLogin(registry, config)) return {};
  // As the name has it, which is how the provider looks it up.
  const address = image.pull.startsWith(`${registry}/`) ? registry : HUB_ADDRESS;
  const helper = helperOf(registry, config);
  const problem = (why: string) => ({
    problem: `gpubox:image: ${image.pull} is pulled without your login at ${registry}: ${why}`,
  });
  const { username, password } = inFile(entry(config.auths, registry)?.value) ?? {};
  if (isText(username) && isText(password)) return { auth: { address, username, password } };
  if (helper === undefined) return problem(`\`${dockerLogin(registry)}\` left no password`);
  const server =
    entry(config.auths, registry)?.key ?? (registry === DOCKER_HUB ? (HUB_KEYS[0] as string) : registry);
  const answer = await ask(helper, server, env);
  if (answer === "missing") return problem(missingHelper(helper));
  if (answer === "none") return problem(`docker-credential-${helper} has none: \`${dockerLogin(registry)}\``);
  const { Username, Secret, why = "its answer has no user name and password" } = answer;
  if (!isText(Username) || !isText(Secret))
    return problem(`docker-credential-${helper} did not give it (${why})`);
  if (Username === "<token>") {
    return problem(
      `docker-credential-${helper} has a token instead of a password; ${pullYourself(image.pull)}`,
    );
  }
  return { auth: { address, username: Username, password: Secret } };
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

const pullYourself = (reference: string) =>
  `\`docker pull ${reference}\` on the host, and it is not pulled again`;

/** The login that stands in the file itself. */
function inFile(auth: { auth?: string; username?: string; password?: string } | undefined) {
  if (!isText(auth?.auth)) return auth;
  const [username = "", password = ""] = Buffer.from(auth.auth, "base64").toString().split(/:(.*)/s);
  return { username, password };
}

/** What a helper has for a server, or why it did not give it. */
type Answer = "missing" | "none" | { Username?: unknown; Secret?: unknown; why?: string };

/** Asks a helper. What it prints may have the password in it, or a part of one, so nothing of that is ever shown. */
function ask(helper: string, server: string, env: Env): Promise<Answer> {
  return new Promise((resolve) => {
    const options = { env: env as NodeJS.ProcessEnv, timeout: PATIENCE_MS, maxBuffer: LONGEST_ANSWER };
    const child = execFile(`docker-credential-${helper}`, ["get"], options, (error, said, complained) => {
      resolve(error ? whyNot(error, said, complained) : parse(said));
    });
    child.stdin?.on("error", () => {}).end(server);
  });
}

function parse(said: string): Answer {
  try {
    const { Username, Secret } = Object(JSON.parse(said));
    return { Username, Secret };
  } catch {
    return { why: "its answer is not JSON" };
  }
}

function whyNot({ code, killed, signal }: ExecFileException, said: string, complained: string): Answer {
  if (code === "ENOENT") return "missing";
  // In these words every helper says that it has none, most of them on stdout.
  if (/credentials not found/i.test(said + complained)) return "none";
  if (code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return { why: "its answer is too long" };
  if (killed) return { why: `no answer within ${PATIENCE_MS / 1000} s` };
  const [line = ""] = complained.trim().split("\n");
  const shortened = line.length > LONGEST_COMPLAINT ? `${line.slice(0, LONGEST_COMPLAINT)}...` : line;
  const ending = typeof code === "number" ? `exit status ${code}` : (code ?? `ended by ${signal}`);
  return { why: inLine(shortened) || ending };
}
