/** Opening a stack for a command: the engine, the backend and the host that it takes, put together. */
import { readWholeConfig } from "../config/load.ts";
import { hasStackFile, readStack, stackId } from "../config/stack-file.ts";
import { ADOPTED } from "../machine/owner.ts";
import type { Context } from "./context.ts";
import { dockerfileBase, neededBase, prepareBaseImage } from "./docker/base-image.ts";
import type { OpenableStack } from "./hosts/host.ts";
import { hostOfKind, presentHost, type StackHost } from "./hosts/index.ts";
import { readAdopted } from "./pulumi/adopted.ts";
import { prepareBackend } from "./pulumi/backend.ts";
import { findPlaces } from "./pulumi/checkpoint.ts";
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

/** The engine with a backend and the name of a stack; the stack need not be there. @throws UserError where its file is wrong */
export async function openSession(context: Context, { stack, rest }: StackArgs): Promise<StackSession> {
  const settings = hasStackFile(context.root, stack) ? readStack(context.root, stack) : undefined;
  const toolchain = await prepareToolchain(context);
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

/** Everything that `pulumi up` needs: a stack that is there, on a host that is ready for it; `wanted` is the one that its file names. */
export async function prepareStack(
  context: Context,
  args: StackArgs,
): Promise<StackSession & { wanted: StackHost }> {
  const { stack } = args;
  // Before anything is downloaded, built or started.
  const config = readWholeConfig(context.root, stack);
  const wanted = await hostOfKind(config.host.kind);
  const session = await openSession(context, args);
  sayStandIns(session);
  const reached = await wanted.prepare(session);
  const base = reached && neededBase(config.image, () => dockerfileBase(context.root));
  if (base) await prepareBaseImage(context, reached.docker.host, base, reached.connection?.address);
  // A stack that moves is still where it was.
  const isMoving = session.host.kind !== wanted.kind;
  await makeStack(session);
  return { ...session, ...(isMoving || !reached ? {} : reached), wanted };
}
