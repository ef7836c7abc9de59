/**
 * The notebooks of a stack on this machine, without the engine: the state's file says what was made, the Docker daemon
 * what became of it. A token is read from its container's environment: the state has it encrypted, slowly by design.
 */

import { hasStackFile, readStack } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { askDocker } from "../../machine/docker/api.ts";
import { type Condition, conditionOf, endedAs } from "../../machine/docker/condition.ts";
import { dockerEndpoint } from "../../machine/docker/endpoint.ts";
import { addressForPerson } from "../../machine/names.ts";
import type { NotebookInfo } from "../../machine/outputs.ts";
import { TYPE } from "../../machine/resource-types.ts";
import type { Context } from "../context.ts";
import {
  type ContainerInputs,
  findPlaces,
  isStackFileThere,
  readStateFile,
  type StateResource,
} from "../pulumi/checkpoint.ts";
import { noNotebook, notUp } from "../stack.ts";
import { daemonProblem } from "./daemon.ts";
import { findStrays, requireOwnDaemon, strayText } from "./on-daemon.ts";

/** What the program says of a stack, apart from its notebooks. */
export type PlainOutputs = Partial<Record<"codeFolder" | "dataFolder" | "accelerator" | "image", string>>;

/** A notebook on this machine. */
export interface LocalNotebook extends Omit<NotebookInfo, "url"> {
  /** Where it is, without the token. */
  address: string;
  /** Where it is, with the token; undefined where the container is gone. */
  url: string | undefined;
  /** `unknown` where no daemon answers. */
  condition: Condition | "gone" | "unknown";
  /** Of one that has ended: that of its program. */
  exitCode?: number | undefined;
  /** What Docker's own check says of one that is up: `starting`, `healthy` or `unhealthy`. */
  health: string | undefined;
}

/** A stack on this machine. */
export interface LocalStack {
  outputs: PlainOutputs;
  /** In the order of the configuration; none where the stack is not up. */
  notebooks: LocalNotebook[];
  /** Why nothing is known of the containers. */
  problem: UserError | undefined;
  /** What is the stack's, and not in its state, each in a line. */
  strays: string[];
}

/** The part of the daemon's description of a container that is read here. */
export interface Container {
  Config: { Env: string[] };
  State: { Status: string; ExitCode?: number; Health?: { Status: string } };
}

const TOKEN = "JUPYTER_TOKEN=";
/** A daemon that hangs must not take the command along, in milliseconds. */
const PATIENCE_MS = 5_000;

/** Looks at a stack; undefined where it is not on this machine, or its state not in a file. */
export async function lookAtStack(context: Context, stack: string): Promise<LocalStack | undefined> {
  const place = findPlaces(context, stack);
  if (place === undefined) return undefined;
  const state = readStateFile(place);
  if (state === undefined && isStackFileThere(place)) return undefined;
  const resources = state?.deployment.resources ?? [];
  if (resources.length > 0 && !resources.some(({ type }) => type === TYPE.localHost)) return undefined;

  const outputs = plain(resources.find(({ type }) => type === TYPE.stack)?.outputs);
  const containers = resources.filter((resource) => resource.type === TYPE.container && !resource.delete);
  let problem: UserError | undefined;
  let strays: string[] = [];
  if (state && resources.length > 0) {
    const { host } = dockerEndpoint(context.env);
    try {
      const looks = [findStrays(host, state, PATIENCE_MS), requireOwnDaemon(context, stack, state)] as const;
      strays = (await Promise.all(looks))[0].map(strayText);
    } catch (error) {
      problem = error instanceof UserError ? error : daemonProblem(host, error, stack);
    }
  }
  const look = async (resource: StateResource) => {
    const { host } = dockerEndpoint(context.env);
    if (problem) return describe(resource, outputs, "unknown");
    try {
      const container = await askDocker<Container>(host, `/containers/${resource.id}/json`, PATIENCE_MS);
      return describe(resource, outputs, container ?? "gone");
    } catch (error) {
      problem = daemonProblem(host, error, stack);
      return describe(resource, outputs, "unknown");
    }
  };
  const notebooks = await Promise.all(containers.map(look));
  return { outputs, notebooks: inOrder(notebooks, context.root, stack), problem, strays };
}

/** The outputs of a stack on this machine; undefined where it is on none, or a notebook is gone or cannot be asked. */
export async function outputsHere(
  context: Context,
  stack: string,
): Promise<(PlainOutputs & { notebooks: NotebookInfo[] }) | undefined> {
  const looked = await lookAtStack(context, stack);
  const notebooks = looked?.notebooks.flatMap(({ url, ...rest }) => (url ? { ...rest, url } : [])) ?? [];
  return notebooks.length === looked?.notebooks.length ? { ...looked.outputs, notebooks } : undefined;
}

function plain(outputs: Record<string, unknown> = {}): PlainOutputs {
  return Object.fromEntries(Object.entries(outputs).filter(([, value]) => typeof value === "string"));
}

/** In the order of the configuration; the state has them in the order in which they came up. */
function inOrder(notebooks: LocalNotebook[], root: string, stack: string): LocalNotebook[] {
  const names = hasStackFile(root, stack) ? readStack(root, stack).notebooks : [];
  // One that has left the configuration and is still there comes last.
  const position = ({ name }: LocalNotebook) => (names.includes(name) ? names.indexOf(name) : names.length);
  return notebooks.toSorted((one, other) => position(one) - position(other));
}

/** What is known of a notebook, from its container's entry in the state and from the daemon. Pure. */
export function describe(
  resource: StateResource,
  { accelerator }: PlainOutputs,
  container: Container | "gone" | "unknown",
): LocalNotebook {
  const inputs = resource.inputs as unknown as ContainerInputs;
  const { external: port, ip } = inputs.ports[0] as ContainerInputs["ports"][number];
  const { name } = inputs;
  const address = `http://${addressForPerson(ip, "127.0.0.1")}:${port}/`;
  const known = typeof container === "string" ? undefined : container;
  const token = known?.Config.Env.find((each) => each.startsWith(TOKEN))?.slice(TOKEN.length);
  return {
    name,
    address,
    url: token && `${address}?token=${token}`,
    condition:
      typeof container === "string"
        ? container
        : endedAs(conditionOf(container.State.Status), known?.State.ExitCode),
    exitCode: known?.State.Status === "exited" ? known.State.ExitCode : undefined,
    health: known?.State.Status === "running" ? known.State.Health?.Status : undefined,
    gpus: gpusOf(inputs, accelerator),
    port,
    shell: `docker exec -it ${name} bash`,
    logs: `docker logs -f ${name}`,
  };
}

/** What a notebook computes on, by what its container was given and what the whole stack computes on. */
function gpusOf({ gpus, deviceRequests = [] }: ContainerInputs, accelerator = "CPU"): string {
  const asked = gpus ? [gpus.replace("device=", "")] : deviceRequests.flatMap(({ deviceIds }) => deviceIds);
  if (asked.length === 0) return "CPU";
  // All notebooks of the stack compute on the same.
  if (!accelerator.includes("; ")) return accelerator;
  const names = new Map(
    [...accelerator.matchAll(/GPU (\d+) \([^)]*\)/g)].map(([text, index]) => [index, text]),
  );
  const ids = asked.map((id) => id.replace("nvidia.com/gpu=", ""));
  if (ids.includes("all")) return [...names.values()].join(", ");
  return ids.map((id) => names.get(id) ?? `GPU ${id}`).join(", ");
}

/**
 * Picks a notebook.
 *
 * @param name the first one when it is not given
 * @throws UserError when the stack is not up or has no such notebook
 */
export function pickNotebook<T extends { name: string }>(notebooks: T[], stack: string, name?: string): T {
  const notebook = name === undefined ? notebooks[0] : notebooks.find((each) => each.name === name);
  if (notebook) return notebook;
  if (notebooks.length === 0) throw notUp(stack);
  const names = notebooks.map((each) => each.name);
  throw noNotebook(stack, name as string, names);
}
