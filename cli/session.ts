/** The set-up of a command, put together: everything the engine needs, and the environment it runs in. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { ADOPTED } from "../components/host/owner.ts";
import type { HostConfig } from "../config.ts";
import { readAdopted } from "./adopted.ts";
import { type Context, ensureFolder } from "./context.ts";
import { type About, errorsOf, explain } from "./foreign-errors.ts";
import { requireOwnDaemon } from "./on-daemon.ts";
import { clearLocks, mendBackend } from "./recover.ts";
import { type Captured, capture, type Env, handOver, mustRun } from "./run.ts";
import { Problem, say } from "./say.ts";
import { type Backend, credentialsFolder, prepareBackend } from "./setup/backend.ts";
import { DEFAULT_DOCKER_HOST, type DockerAddress, dockerAddress } from "./setup/daemon.ts";
import { type Engine, prepareEngine } from "./setup/engine.ts";
import { preparePlugins, sayStandIns } from "./setup/plugins.ts";
import {
  createStack,
  hasStackFile,
  noSuchStack,
  notUp,
  npmCommand,
  readStack,
  type StackArgs,
  type StackSettings,
  shortName,
  stackLabel,
  useCopy,
} from "./setup/stack.ts";
import { findPlaces, hostOf, isStackFileThere, readStateFile, type StackPlaces } from "./state-file.ts";

/** An engine and the environment in which it finds everything. */
export interface Toolchain {
  engine: Engine;
  /** The whole environment. */
  env: Env;
  /** The part of it that a person's shell does not have; PATH holds only the folders to put in front. */
  additions: Env;
  /** Names of the plugins that stand-ins are used for. */
  standIns: string[];
}

/** Makes sure that there is an engine with its plugins. */
export async function prepareToolchain(context: Context): Promise<Toolchain> {
  ensureFolder(context.cache, "what gpubox downloads and builds");
  // It may be shared, to be read: plugins that everybody uses.
  ensureFolder(context.pulumiHome, "Pulumi's own plugins and logs", 0o022);
  const engine = await prepareEngine(context);
  const { home, standIns } = await preparePlugins(context, engine);
  const additions: Env = {
    PATH: [engine.folder, join(context.root, "node_modules", ".bin")].join(delimiter),
    NODE_COMPILE_CACHE: context.env.NODE_COMPILE_CACHE || join(context.cache, "compile-cache"),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // By itself the engine looks in the home that /etc/passwd has, whatever HOME says.
    PULUMI_HOME: home,
    // A login is the person's: the engine deletes the file to log out, which leaves what a link leads to.
    ...(home === context.pulumiHome ? {} : { PULUMI_CREDENTIALS_PATH: credentialsFolder(context) }),
    // Where a plugin is stood in for, its download has failed already: fail at once, not after a long wait.
    ...(standIns.length > 0 ? { PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true" } : {}),
  };
  return { engine, env: merge(context.env, additions), additions, standIns };
}

function merge(env: Env, additions: Env): Env {
  return { ...env, ...additions, PATH: [additions.PATH, env.PATH].filter(Boolean).join(delimiter) };
}

/** A stack with everything that is needed to work on it. */
export interface Session extends Toolchain {
  context: Context;
  backend: Backend;
  /** As the person wrote it. */
  stack: string;
  /** Its files, where the backend is a folder. */
  place: StackPlaces | undefined;
  /** `<project>/<stack>`: the label on everything the stack owns. */
  label: string;
  /** What the set-up needs to know of its configuration; undefined without a file. */
  settings: StackSettings | undefined;
  /** Kind of host that the stack was put on, whatever its file says by now; what that says where it is on none, or not known. */
  host: HostConfig["kind"];
  /** Where the stack's Docker daemon is: that of this machine, whether it runs or not, or the way to another's. */
  docker: DockerAddress;
  /** Arguments for the engine, without those that are ours. */
  rest: string[];
}

/** The daemon of a stack elsewhere, as long as there is no way to it: this machine's is not asked, whatever it is. */
const NOT_HERE: DockerAddress = { host: DEFAULT_DOCKER_HOST, from: "default" };

/** The engine with a backend and the name of a stack; the stack need not be there. @throws Problem where its file is wrong */
export async function openSession(context: Context, { stack, rest }: StackArgs): Promise<Session> {
  const settings = hasStackFile(context.root, stack) ? readStack(context.root, stack) : undefined;
  const toolchain = await prepareToolchain(context);
  const { backend, env } = prepareBackend(context);
  const place = findPlaces(context, stack);
  mendBackend(place);
  const state = readStateFile(place);
  const host = (state && hostOf(state)) ?? settings?.host ?? "local";
  const docker = host === "local" ? dockerAddress(context.env) : NOT_HERE;
  const adopted = readAdopted(context, stack);
  const additions = {
    ...toolchain.additions,
    ...env,
    ...(adopted && { [ADOPTED]: JSON.stringify(adopted) }),
    PULUMI_STACK: stack,
    // A copy of the checkout, or one whose stack file lacks the salt, uses the one that the state was made with.
    PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER: "true",
    // The engine's plugins know nothing of Docker's contexts.
    ...(docker.from === "context" ? { DOCKER_HOST: docker.host } : {}),
  };
  return {
    ...toolchain,
    context,
    backend,
    stack,
    place,
    label: stackLabel(context.root, stack),
    settings,
    host,
    docker,
    rest,
    additions,
    env: merge(context.env, additions),
  };
}

/** Everything that `pulumi up` needs: a stack that is there, on a host that is ready for it. */
export async function prepareStack(context: Context, args: StackArgs): Promise<Session> {
  const { stack } = args;
  // Before anything is downloaded, built or started.
  const { readWholeConfig } = await import("./setup/config.ts");
  readWholeConfig(context.root, stack);
  const settings = readStack(context.root, stack);
  const session = await openSession(context, args);
  sayStandIns(session);
  const docker = await prepareHost(session, settings);
  // A stack that moves is still where it was.
  if (session.host === settings.host) session.docker = docker;
  await makeStack(session);
  return session;
}

/** Makes the session's stack, where the backend does not know it yet. */
export async function makeStack(session: Session): Promise<void> {
  if (await isStackThere(session)) return;
  await createStack(session.context.root, session.stack, session.engine.file, session);
}

/** Sees to it that the stack's Docker daemon is there, with what a build starts from. @returns where it is */
async function prepareHost(session: Session, settings: StackSettings): Promise<DockerAddress> {
  const { context, stack } = session;
  let docker = session.docker;
  let where = "this machine";
  // None is needed before this point, and all are slow to load.
  if (settings.host === "local") {
    const { prepareDocker } = await import("./setup/docker.ts");
    await prepareDocker(context);
    const state = readStateFile(session.place);
    // Before an image is fetched for the wrong one.
    if (state) await requireOwnDaemon(context, stack, state);
  } else if (settings.host === "ssh") {
    const { openRemote } = await import("./remote.ts");
    const remote = await openRemote(context.root, stack);
    docker = remote.docker;
    where = remote.connection.address;
  } else {
    return docker;
  }
  const { dockerfileBase, neededBase, prepareBaseImage } = await import("./setup/base-image.ts");
  const base = neededBase(settings.image, () => dockerfileBase(context.root));
  if (base) await prepareBaseImage(context, docker.host, base, where);
  return docker;
}

/** Whether the stack's Docker daemon can be asked: that of this machine, or one that a way to was opened for. */
export function hasDaemon(session: Session): boolean {
  return isLocal(session) || session.docker.from === "ssh";
}

/** Whether a stack is on this machine's Docker daemon. */
export function isLocal({ host }: Pick<Session, "host">): boolean {
  return host === "local";
}

/** Whether the backend knows the session's stack. */
export async function isStackThere(session: Session): Promise<boolean> {
  if (session.place) return isStackFileThere(session.place);
  const stacks: { name: string }[] = JSON.parse(await askEngine(session, ["stack", "ls", "--json"]));
  return stacks.some(({ name }) => name === session.stack || shortName(name) === shortName(session.stack));
}

/** @throws Problem when the backend does not know the stack */
export async function requireStack(session: Session): Promise<void> {
  if (await isStackThere(session)) return;
  const { settings, stack, context } = session;
  throw settings === undefined ? noSuchStack(context.root, stack) : notUp(stack);
}

/**
 * Runs the engine on the person's terminal, on a copy of the stack's file. Where it fails, what it said is explained as far as that is
 * known. Where a command asks, it asks: a variable that somebody set for other stacks is no yes.
 *
 * @param command one that works on resources: `up`, `preview`, `refresh` or `destroy`
 * @param onFailure is given what the engine did, as a JSON object a line; nothing where it gave up before it began
 * @returns its exit status
 */
export async function runEngine(
  session: Session,
  command: string,
  args: string[],
  onFailure: (events: string) => void = () => {},
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "gpubox-events-"));
  const log = join(folder, "events");
  const words = onCopy(session, command, [...args, "--event-log", log]);
  const { env, cwd } = inCheckout(session);
  let isStopped = false;
  try {
    // The engine offers its log of events only to those who debug it.
    const code = await handOver(session.engine.file, words, {
      env: { ...env, PULUMI_DEBUG_COMMANDS: "true", PULUMI_SKIP_CONFIRMATIONS: undefined },
      cwd,
      onSignal: () => {
        isStopped = true;
      },
    });
    if (code === 0) return code;
    if (isStopped) {
      say(`stopped: \`${npmCommand(command === "up" ? "start" : command, session.stack)}\` goes on`);
      return code;
    }
    const began = existsSync(log);
    // Another engine may have come first; what this one advises is to remove its lock.
    if (!began && session.place) await clearLocks(session.stack, session.place.locks);
    const events = began ? readFileSync(log, "utf8") : "";
    const said = began ? errorsOf(events) : await saidQuietly(session);
    for (const line of explain(said, about(session))) say(line);
    onFailure(events);
    return code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What keeps the engine from beginning, which it has told the person alone: it says the same again of a question about the stack. */
async function saidQuietly(session: Session): Promise<string> {
  const { code, stderr } = await tryEngine(session, ["stack", "output", "--show-secrets"]);
  return code === 0 ? "" : stderr;
}

function about({ stack, env, engine }: Session): About {
  const { PULUMI_CONFIG_PASSPHRASE: given, PULUMI_CONFIG_PASSPHRASE_FILE: file } = env;
  const passphrase = given !== undefined || !file ? "PULUMI_CONFIG_PASSPHRASE" : file;
  return { stack, passphrase, engine: engine.file, home: env.HOME ?? "" };
}

/** What the engine would do, as it tells programs. A failure is an answer. */
export function planQuietly(session: Session, args: string[]): Promise<Captured> {
  const options = ["--json", "--non-interactive", ...args];
  const rest = session.rest.filter((arg) => !NOT_AHEAD.includes(arg));
  return capture(session.engine.file, onCopy({ ...session, rest }, "preview", options), inCheckout(session));
}

/** Options of `pulumi up` that `pulumi preview` does not know, or by which it takes what is stopped for changed. */
const NOT_AHEAD = ["--yes", "--skip-preview", "--continue-on-error", "--refresh"];

/** The arguments of a command that reads the stack's file, and may write into it. */
function onCopy(session: Session, command: string, args: string[]): string[] {
  const copy = useCopy(session.context, session.stack, [...args, ...session.rest]);
  return [command, ...args, ...copy, ...session.rest];
}

/** Asks the engine something; what it prints is collected. @throws Problem when it fails */
export async function askEngine(session: Session, args: string[]): Promise<string> {
  const asked = mustRun(session.engine.file, [...args, "--non-interactive"], inCheckout(session));
  return await asked.catch((error: Problem) => {
    throw new Problem([...explain(error.message, about(session)), error.message].join("\n"));
  });
}

/** Like `askEngine`, where a failure is an answer. */
export function tryEngine(session: Session, args: string[]): Promise<Captured> {
  return capture(session.engine.file, [...args, "--non-interactive"], inCheckout(session));
}

/** Where and with what the engine works on a stack. */
export function inCheckout({ env, context }: Session) {
  return { env, cwd: context.root };
}
