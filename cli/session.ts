/** Opening a stack for a command: the engine, the backend and the host that it takes, put together. */
import { readWholeConfig } from "../config/load.ts";
import { hasStackFile, readStack, shortName, stackId } from "../config/stack-file.ts";
import { ADOPTED } from "../machine/owner.ts";
import type { Context } from "./context.ts";
import { dockerfileBase, neededBase, prepareBaseImage } from "./docker/base-image.ts";
import type { OpenableStack } from "./hosts/host.ts";
import { hostOfKind, presentHost, type StackHost } from "./hosts/index.ts";
import { readAdopted } from "./pulumi/adopted.ts";
import { prepareBackend } from "./pulumi/backend.ts";
import { findPlaces, readStateFile } from "./pulumi/checkpoint.ts";
import type { Meanwhile } from "./pulumi/engine.ts";
import { sayStandIns } from "./pulumi/plugins.ts";
import { mendBackend } from "./pulumi/recover.ts";
import { makeStack, mergeEnv, prepareToolchain, requireStack, type Session } from "./pulumi/session.ts";
import type { StackArgs } from "./stack.ts";

/** A stack with everything that is needed to work on it, and the host that it is on. */
export interface StackSession extends Session {
  /** Where the stack was put, whatever its file says by now; where its file wants it where it is nowhere yet. */
  host: StackHost;
}

/** The option by which the engine's own display is shown. */
const VERBOSE = "--verbose";

/**
 * The engine with a backend and the name of a stack; the stack need not be there.
 *
 * @param meanwhile what to do beside, where the engine has to be built
 * @throws UserError where its file is wrong
 */
export async function openSession(
  context: Context,
  { stack, rest }: StackArgs,
  meanwhile?: Meanwhile,
): Promise<StackSession> {
  const settings = hasStackFile(context.root, stack) ? readStack(context.root, stack) : undefined;
  const toolchain = await prepareToolchain(context, meanwhile);
  const { backend, env } = prepareBackend(context);
  const place = findPlaces(context, stack);
  mendBackend(place);
  const host = await presentHost({ context, stack }, () => settings?.host);
  const docker = host.endpoint(context);
  const adopted = readAdopted(context, stack);
  const additions = {
    ...toolchain.additions,
    ...env,
    ...(adopted && { [ADOPTED]: JSON.stringify(adopted) }),
    PULUMI_STACK: stack,
    // A copy of the checkout, or one whose stack file lacks the salt, uses the one that the state was made with.
    PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER: "true",
    // The engine's plugins know nothing of Docker's contexts.
    ...(docker?.from === "context" ? { DOCKER_HOST: docker.host } : {}),
  };
  return {
    ...toolchain,
    context,
    backend,
    stack,
    place,
    stackId: stackId(context.root, stack),
    settings,
    host,
    isHere: host.isHere,
    docker,
    connection: undefined,
    verbose: rest.includes(VERBOSE),
    rest: rest.filter((arg) => arg !== VERBOSE),
    additions,
    env: mergeEnv(context.env, additions),
  };
}

/** A stack whose session is opened only where it is needed, and which the backend must know then. */
export function openable(context: Context, args: StackArgs): OpenableStack {
  return {
    context,
    stack: args.stack,
    open: async () => {
      const session = await openSession(context, args);
      await requireStack(session);
      return session;
    },
  };
}

/**
 * Everything that `pulumi up` needs: a stack that is there, on a host that is ready for it; `wanted` is the one that its file names.
 *
 * @param willBuild whether the image is going to be needed, so that it can be begun while something else takes long
 */
export async function prepareStack(
  context: Context,
  args: StackArgs,
  willBuild = false,
): Promise<StackSession & { wanted: StackHost }> {
  const { stack } = args;
  // Before anything is downloaded, built or started.
  const config = readWholeConfig(context.root, stack);
  const wanted = await hostOfKind(config.host.kind);
  const meanwhile: Meanwhile = async (signal) => {
    // Loaded here: it brings a client of BuildKit with it, which few runs need.
    const { prepareImage } = await import("./docker/image-ahead.ts");
    await prepareImage(context, shortName(stack), config.image, signal);
  };
  const isEarly = willBuild && wanted.isHere && isNew(context, stack);
  const session = await openSession(context, args, isEarly ? meanwhile : undefined);
  sayStandIns(session);
  const reached = await wanted.prepare(session);
  const base = reached && neededBase(config.image, () => dockerfileBase(context.root));
  if (base) await prepareBaseImage(context, reached.docker.host, base, reached.connection?.address);
  // A stack that moves is still where it was.
  const isMoving = session.host.kind !== wanted.kind;
  await makeStack(session);
  return { ...session, ...(isMoving || !reached ? {} : reached), wanted };
}

/** Whether a stack has nothing yet: one that has some has its image, or has to be asked first whether the daemon is its own. */
function isNew(context: Context, stack: string): boolean {
  return !readStateFile(findPlaces(context, stack))?.deployment.resources?.length;
}
