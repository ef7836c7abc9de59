/** This machine as the host of a stack, for the commands. */

import { stackId } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { type Check, check } from "../../machine/checks/check.ts";
import { howToBeAllowed } from "../../machine/docker/api.ts";
import { type DockerEndpoint, dockerEndpoint } from "../../machine/docker/endpoint.ts";
import type { HostNeeds } from "../../machine/facts.ts";
import { lookAtLocalMachine } from "../../machine/local.ts";
import { TYPE } from "../../machine/resource-types.ts";
import { commandLine } from "../../text/command-line.ts";
import type { Context } from "../context.ts";
import { daemonProblem, pingDocker } from "../docker/daemon.ts";
import { installedParts, planDocker, prepareDocker } from "../docker/install.ts";
import {
  containersOf,
  findStrays,
  list,
  requireFree,
  requireOwnDaemon,
  strayText,
} from "../docker/on-daemon.ts";
import { stopNotebooks, whyNone } from "../docker/stop.ts";
import { findPlaces, isStackFileThere, readStateFile, type State } from "../pulumi/checkpoint.ts";
import type { Session } from "../pulumi/session.ts";
import { readState } from "../pulumi/state.ts";
import { stackCommand } from "../stack.ts";
import { inspectMachine } from "../system/packages.ts";
import { findProgram } from "../system/path.ts";
import { say } from "../ui/say.ts";
import { checksOfHost } from "./checks.ts";
import { byEngineAlone, existingMachine } from "./existing-machine.ts";
import type { OpenableStack, StackHost, StackRef } from "./host.ts";

/** Longest look at what is on the daemon, in milliseconds. */
const LOOK_PATIENCE_MS = 9_000;
/** Longest wait for a daemon's first word, in milliseconds. */
const PING_PATIENCE_MS = 3_000;

export const localHost: StackHost = {
  ...existingMachine,
  kind: "local",
  isHere: true,
  endpoint: ({ env }) => dockerEndpoint(env),
  reach: async ({ context }) => ({ docker: dockerEndpoint(context.env) }),
  connect: async () => undefined,
  login: async ({ stack }) => {
    throw new UserError(
      `stack ${stack} is on this machine: your editor can attach to its container directly, in VS Code with "Dev Containers: Attach to Running Container"`,
    );
  },
  checks: (stack, { root }, needs) => localChecks(stack, root, needs),
  /** Asked before the minutes that the rest of the set-up takes, in which nobody sits and waits for a question. */
  install: async (context) => {
    if ((await pingDocker(dockerEndpoint(context.env).host)) === "ok") return false;
    await prepareDocker(context);
    return true;
  },
  prepare: async (session) => {
    const { context, stack, place } = session;
    const docker = await prepareDocker(context);
    const state = readStateFile(place);
    // Before an image is fetched for the wrong one.
    if (state) await requireOwnDaemon(context, stack, state);
    return { docker };
  },
  stop: stopHere,
  readyToTearDown: requireDaemon,
  tearDown: async (session, state) => {
    await requireFreeNetworks(session, state);
    return byEngineAlone(session.stack, "");
  },
};

async function stopHere({ context, stack, open }: OpenableStack, names: string[]): Promise<number> {
  const place = findPlaces(context, stack);
  if (place && !isStackFileThere(place)) {
    // Of a stack that was never made nothing runs, whatever Docker does.
    const reason = async () => whyNone(dockerEndpoint(context.env).host, stackId(context.root, stack), stack);
    say(await reason().catch(() => `stack ${stack}: no notebook is running`));
    return 0;
  }
  const address = dockerEndpoint(context.env);
  const ping = await pingDocker(address.host);
  if (ping === "denied") throw new UserError(howToBeAllowed(address.host));
  if (ping !== "ok") throw new UserError(cannotTell(address, stack));
  // The engine is slow to start, and needed only where the state is not in a file.
  const state = readStateFile(place) ?? (await readState(await open()));
  await requireOwnDaemon(context, stack, state);
  await stopNotebooks(address.host, context, stack, state, names);
  return 0;
}

/** A daemon that is stopped has stopped its containers, unless it is set to leave them running; another may just not be reached. */
function cannotTell({ host, from }: DockerEndpoint, stack: string): string {
  const named =
    from === "default" ? "" : `, which ${from === "context" ? "your Docker context" : from} names`;
  return `no Docker daemon answers at ${host}${named}, so gpubox cannot tell whether a notebook of stack ${stack} is running. If you stopped Docker itself, its containers stopped with it, and \`${stackCommand("up", stack)}\` starts both again`;
}

async function localChecks({ context, stack }: StackRef, root: string, needs: HostNeeds): Promise<Check[]> {
  let address: DockerEndpoint;
  try {
    address = dockerEndpoint(context.env);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [check("Docker", { ...noDaemon(""), found: "none to use" }, error.message)];
  }
  const ping = await pingDocker(address.host, PING_PATIENCE_MS);
  if (ping === "ok") {
    try {
      const { facts } = await lookAtLocalMachine(needs, root, address.host);
      const [checks, strays] = await Promise.all([
        checksOfHost({ context, stack }, needs, facts, { daemon: address.host }),
        strayChecks(context, stack, address.host),
      ]);
      return [clientCheck(context), ...checks, ...strays];
    } catch (error) {
      return [check("Docker", noDaemon(address.host), daemonProblem(address.host, error, stack).message)];
    }
  }
  const plan = planDocker(address, ping, installedParts(context.env), await inspectMachine(context));
  if (plan.do === "give up") {
    const about = noDaemon(address.host);
    const found = ping === "denied" ? `${address.host} refuses you` : about.found;
    return [check("Docker", { ...about, found }, plan.tell)];
  }
  const will = plan.do === "start" ? "starts it" : "installs it";
  return [
    check(
      "Docker",
      noDaemon(address.host),
      `it is not running: \`${stackCommand("up", stack)}\` ${will} first`,
      "warn",
    ),
  ];
}

/** A daemon may be there without the program that speaks to it. */
export function clientCheck({ env }: Pick<Context, "env">): Check {
  const found = findProgram("docker", env.PATH);
  const about = { found: found ?? "not on PATH", needed: found ?? "the command `docker`" };
  const problem =
    "shells, logs and the GPU test need the command `docker`: install it, on Debian and Ubuntu with `sudo apt-get install docker-cli`, or `docker.io` where that package does not exist";
  return check("docker command", about, found ? undefined : problem, "warn");
}

const noDaemon = (host: string) => ({ found: `no answer at ${host}`, needed: "a daemon that answers you" });

/** A check for each thing that is the stack's, and that its state does not know. */
async function strayChecks(context: Context, stack: string, host: string): Promise<Check[]> {
  const state = readStateFile(findPlaces(context, stack));
  const strays = state ? await findStrays(host, state, LOOK_PATIENCE_MS) : [];
  return strays.map((each) =>
    check(
      list([each]),
      { found: "not in the state", needed: "in the state" },
      `${strayText(each)}; \`${stackCommand("up", stack)}\` removes it`,
      "warn",
    ),
  );
}

/** Docker would keep the network, and the engine try for long, with the containers gone already. */
async function requireFreeNetworks(session: Session, state: State): Promise<void> {
  const host = dockerEndpoint(session.context.env).host;
  const networks = (state.deployment.resources ?? []).flatMap(({ type, id }) =>
    type === TYPE.network && id ? [{ id }] : [],
  );
  await requireFree(host, networks, new Set((await containersOf(host, state)).map(({ Id }) => Id)));
}

/** A daemon that is only stopped is started; without one there is nothing the engine could remove. */
async function requireDaemon(session: Session): Promise<void> {
  try {
    await prepareDocker(session.context);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message}\nUntil then the containers, networks and volumes of stack ${session.stack} stay as they are. If that Docker is gone for good, forget the stack with \`${commandLine("pulumi", "stack", "rm", "--force", "--preserve-config", session.stack)}\`; your files stay either way.`,
    );
  }
}
