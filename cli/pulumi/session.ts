/** The set-up of a command, put together: everything the engine needs, and the environment it runs in. */
import { delimiter, join } from "node:path";
import { noSuchStack, type StackSettings, shortName } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import type { DockerEndpoint } from "../../machine/docker/endpoint.ts";
import type { SshConnection } from "../../machine/ssh/command.ts";
import { type Context, ensureFolder } from "../context.ts";
import { notUp } from "../stack.ts";
import { type Captured, capture, type Env, mustRun } from "../system/run.ts";
import { type Backend, credentialsFolder } from "./backend.ts";
import { isStackFileThere, type StackPlaces } from "./checkpoint.ts";
import { type Engine, type Meanwhile, prepareEngine } from "./engine.ts";
import { about, explain } from "./foreign-errors.ts";
import { preparePlugins } from "./plugins.ts";
import { createStack } from "./stack.ts";

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

/** Makes sure that there is an engine with its plugins. @param meanwhile what to do beside, where an engine has to be built */
export async function prepareToolchain(context: Context, meanwhile?: Meanwhile): Promise<Toolchain> {
  ensureFolder(context.cache, "what gpubox downloads and builds");
  // It may be shared, to be read: plugins that everybody uses.
  ensureFolder(context.pulumiHome, "Pulumi's own plugins and logs", 0o022);
  const engine = await prepareEngine(context, meanwhile);
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
  return { engine, env: mergeEnv(context.env, additions), additions, standIns };
}

/** An environment with additions, whose PATH goes before its own. */
export function mergeEnv(env: Env, additions: Env): Env {
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
  /** `<project>/<stack>`: the value of the label on everything the stack owns. */
  stackId: string;
  /** What the set-up needs to know of its configuration; undefined without a file. */
  settings: StackSettings | undefined;
  /** Whether its folders are on this machine. */
  isHere: boolean;
  /** Where its Docker daemon is, whether that runs or not; undefined where no way to it was opened. */
  docker: DockerEndpoint | undefined;
  /** The way to the machine that the daemon is on, where that was opened. */
  connection: SshConnection | undefined;
  /** Whether the engine's own display is shown. */
  verbose: boolean;
  /** Arguments for the engine, without those that are ours. */
  rest: string[];
}

/** Makes the session's stack, where the backend does not know it yet. */
export async function makeStack(session: Session): Promise<void> {
  if (await isStackThere(session)) return;
  await createStack(session.context.root, session.stack, session.engine.file, session);
}

/** Whether the backend knows the session's stack. */
export async function isStackThere(session: Session): Promise<boolean> {
  if (session.place) return isStackFileThere(session.place);
  const stacks: { name: string }[] = JSON.parse(await askEngine(session, ["stack", "ls", "--json"]));
  return stacks.some(({ name }) => name === session.stack || shortName(name) === shortName(session.stack));
}

/** @throws UserError when the backend does not know the stack */
export async function requireStack(session: Session): Promise<void> {
  if (await isStackThere(session)) return;
  const { settings, stack, context } = session;
  throw settings === undefined ? noSuchStack(context.root, stack) : notUp(stack);
}

/** Asks the engine something; what it prints is collected. @throws UserError when it fails */
export async function askEngine(session: Session, args: string[]): Promise<string> {
  const asked = mustRun(session.engine.file, [...args, "--non-interactive"], inCheckout(session));
  return await asked.catch((error: UserError) => {
    throw new UserError([...explain(error.message, about(session)), error.message].join("\n"));
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
