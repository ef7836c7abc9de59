/** The containers of a stack, as they are on its Docker daemon, and bringing back those that do not run. */

import type Docker from "dockerode";
import { UserError } from "../../errors.ts";
import { askDocker, dockerClient } from "../../machine/docker/api.ts";
import { explain, explainSilence, isWell, readStatus, type Said } from "../../machine/docker/condition.ts";
import { TYPE } from "../../machine/resource-types.ts";
import type { ContainerInputs, State } from "../pulumi/checkpoint.ts";
import type { Session } from "../pulumi/session.ts";
import { readState } from "../pulumi/state.ts";
import { stackCommand } from "../stack.ts";
import { type NotebookHost, type NotebookOnHost, whySilent } from "../system/host-scripts.ts";
import { say, step, TICK } from "../ui/say.ts";
import { daemonsWord } from "./daemon.ts";
import { nameOf } from "./on-daemon.ts";

/** A container of a stack that is there. */
export interface OwnContainer extends NotebookOnHost, Said {
  id: string;
  /** Of its entry in the state. */
  urn: string;
}

/** A stack, and the way to its daemon. */
type Where = Pick<Session, "context" | "stack" | "docker" | "connection">;

/** A container that does not do what it is there for. */
export interface Broken {
  name: string;
  urn: string;
  /** In a few words. */
  why: string;
}

/** How long Jupyter may take to answer once its container was started, and where its container runs already, in seconds. */
const PATIENCE_SECONDS = { start: 120, look: 10 };

/** Every container on the stack's daemon. */
async function listContainers(host: string): Promise<Docker.ContainerInfo[]> {
  return (await askDocker(host, "/containers/json?all=true")) ?? [];
}

/** Those that the state names: by their ids, as labels may be another stack's, or of a name that the stack had before. */
function ownContainers(listed: Docker.ContainerInfo[], state: State): OwnContainer[] {
  const entries = (state.deployment.resources ?? []).filter(
    (each) => each.type === TYPE.container && !each.delete,
  );
  return entries.flatMap(({ id, urn, inputs }) => {
    const found = listed.find(({ Id }) => Id === id);
    const [port] = (inputs as ContainerInputs | undefined)?.ports ?? [];
    if (!found || !port) return [];
    const name = nameOf(found);
    return [{ id: found.Id, urn, name, address: port.ip, port: port.external, ...readStatus(found.Status) }];
  });
}

/** Those of a stack that are on a daemon. */
export async function ownContainersOn(host: string, state: State): Promise<OwnContainer[]> {
  return ownContainers(await listContainers(host), state);
}

/** Those that do not run. */
export async function findHalted(session: Session, state: State): Promise<OwnContainer[]> {
  if (!session.docker) return [];
  const own = await ownContainersOn(session.docker.host, state);
  return own.filter(({ condition }) => condition !== "up");
}

/**
 * Starts containers and waits until their notebooks answer, one after the other.
 *
 * @returns those that cannot be started, or stop again
 * @throws UserError where no daemon answers
 */
export async function startAgain(session: Where, halted: OwnContainer[]): Promise<Broken[]> {
  const { docker } = session;
  const broken: Broken[] = [];
  if (!docker) return broken;
  for (const container of halted) {
    const { name, urn } = container;
    const failure = () => whyNotStarted(session, docker.host, container);
    const why = await step(`${name}: starting it again`, failure, (found) => (found ? "failed" : "done"));
    if (why !== undefined) broken.push({ name, urn, why });
  }
  return broken;
}

async function whyNotStarted(
  session: Where,
  host: string,
  container: OwnContainer,
): Promise<string | undefined> {
  // As it was listed: asked again it may run at the moment, and has no exit code then.
  if (container.condition === "restarting") return `it keeps stopping, with exit code ${container.exitCode}`;
  const handle = dockerClient(host).getContainer(container.id);
  try {
    await (container.condition === "paused" ? handle.unpause() : handle.start());
  } catch (error) {
    return daemonsWord(host, error, session.stack);
  }
  return await whySilent(session.context, container, PATIENCE_SECONDS.start, whereItIs(session, host));
}

/** Where a stack's notebooks are asked. */
const whereItIs = ({ connection }: Where, host: string): NotebookHost =>
  connection ? { connection } : { daemon: host };

/** Has the engine make containers anew that cannot be started. @returns arguments for `pulumi up` and `pulumi preview` */
export function argsForBroken(broken: Broken[]): string[] {
  for (const { name, why } of broken) say(`${name} cannot be started (${why}); creating it again`);
  return broken.flatMap(({ urn }) => ["--replace", urn]);
}

/**
 * Sees to it that in the end every notebook runs and answers: a preview may have announced a replacement that the run itself found
 * needless, one that runs may have hung for long, and one that stops again and again runs in between.
 *
 * @throws UserError naming those that do not
 */
export async function requireAnswers(session: Session): Promise<void> {
  if (!session.docker) return;
  const { host } = session.docker;
  const listed = await listContainers(host);
  // The state need not be in a file, and then takes the engine to read.
  if (listed.every(({ Status }) => isWell(readStatus(Status)))) return;
  const { context, stack } = session;
  const own = ownContainers(listed, await readState(session));
  const broken = await startAgain(
    session,
    own.filter(({ condition }) => condition !== "up"),
  );
  const start = stackCommand("up", stack);
  const lines = broken.map(
    ({ name, why }) => `${name} cannot be started (${why}): run \`${start}\` again to recreate it`,
  );
  const machine = whereItIs(session, host);
  const look = async (container: OwnContainer) => {
    const { name, starting } = container;
    const looking = whySilent(
      context,
      container,
      starting ? PATIENCE_SECONDS.start : PATIENCE_SECONDS.look,
      machine,
    );
    const why = await notInSilence(`${name}: waiting until it answers`, looking);
    if (why === undefined) return [];
    return starting
      ? [explainSilence(name, why, stackCommand("logs", stack, name))]
      : [`${explain(name, container, start)} (${why})`];
  };
  const notReady = own.filter((each) => each.condition === "up" && !isWell(each));
  lines.push(...(await Promise.all(notReady.map(look))).flat());
  if (lines.length > 0) throw new UserError(lines.join("\n"));
}

/** Says now and then what is waited for; nothing where it is there at once. */
async function notInSilence<T>(what: string, coming: Promise<T>): Promise<T> {
  const ticker = setInterval(() => say(what), TICK.log);
  return await coming.finally(() => clearInterval(ticker));
}
