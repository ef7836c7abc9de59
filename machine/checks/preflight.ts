/**
 * What a host must offer before anything is pulled or built on it. Pure: the facts come from the host.
 */
import { UserError } from "../../errors.ts";
import { commandLine } from "../../text/command-line.ts";
import type { HostFacts, HostNeeds } from "../facts.ts";
import { type Existing, isOwn, otherDaemon, stackName } from "../owner.ts";
import { type Check, check } from "./check.ts";
import { gpuChecks } from "./gpus.ts";
import { machineChecks } from "./machine.ts";
import { notebookChecks } from "./notebooks.ts";
import { checkoutChecks, volumeChecks } from "./volumes.ts";

function portProblem(
  needs: HostNeeds,
  facts: HostFacts,
  { name, address, port }: HostNeeds["notebooks"][number],
) {
  const holder = facts.containers.find((container) => container.ports.includes(port));
  if (holder && isOwn(holder, needs)) {
    const { notebook } = holder;
    const isWanted = needs.notebooks.some((each) => each.name === notebook);
    if (notebook && isWanted && !facts.containers.some((each) => each.name === notebook)) {
      return `port ${port} is taken by the container ${holder.name}, which is the notebook ${notebook} under another name: rename it back with \`docker rename ${holder.name} ${notebook}\``;
    }
    // It is what already serves the port, or is about to be replaced or removed.
    return undefined;
  }
  const fix = `give ${name} another \`port\``;
  if (holder && isOthersOfName(holder, needs)) {
    return `port ${port} is taken by the container ${holder.name} of that other stack (above): to run beside it, ${fix}`;
  }
  if (holder) {
    return `port ${port} is taken by the container ${holder.name}: ${fix}, or, if that one is yours, stop it with \`docker stop ${holder.name}\``;
  }
  const code = facts.listenErrors.get(port);
  // One that stops and is started again and again has the port for moments, in which Docker may not name it as its holder.
  const own = facts.containers.find((container) => container.name === name);
  if (own && isOwn(own, needs) && own.status?.startsWith("Restarting")) return undefined;
  if (code === "EADDRINUSE") {
    return `port ${port} is taken by another program: ${fix}, or stop what \`sudo ss -ltnp 'sport = :${port}'\` shows`;
  }
  return (
    code &&
    `port ${port} of ${address} cannot be used (${code}): \`ip address\` shows the addresses of this host`
  );
}

/**
 * A stack of the same name that another state has: another person's, or one's own from before. Neither can go on beside the other,
 * as they want the same names.
 */
function stackProblem(needs: HostNeeds, { containers, networks, volumes }: HostFacts) {
  const others = [...containers, ...networks, ...volumes].filter((each) => isOthersOfName(each, needs));
  if (others.length === 0) return undefined;
  const name = stackName(needs.stack);
  const madeBy = others.flatMap((each) => each.madeBy ?? []).at(0) ?? "creator unknown";
  const what = others.map((each) => `${each.kind} ${each.name}`).join(", ");
  return [
    `a stack ${name} is on this Docker daemon already, but not in this state (${madeBy}): ${what}`,
    `  if it is somebody else's, use another name:  ${commandLine("init", "-s", "NAME")}`,
    "  if it is yours, use the state that has it: the same user, HOME and PULUMI_BACKEND_URL",
    `  if it is yours and that state is lost, take it over:  ${commandLine("adopt", "-s", name)}`,
  ].join("\n");
}

const isOthersOfName = (existing: Existing, needs: HostNeeds) =>
  existing.stack === needs.stack && !isOwn(existing, needs);

/** Who made what has a name that the stack wants for its own; undefined where nobody else has, or `stackProblem` says it. */
function otherOwner(needs: HostNeeds, existing: Existing[], name: string | undefined): string | undefined {
  const holder = existing.find((each) => each.name === name);
  if (holder === undefined || isOwn(holder, needs) || isOthersOfName(holder, needs)) return undefined;
  const { stack, madeBy } = holder;
  return stack ? `the gpubox stack ${stack}${madeBy ? ` (${madeBy})` : ""}` : "something other than gpubox";
}

function networkProblem(needs: HostNeeds, facts: HostFacts) {
  const name = needs.network;
  const owner = otherOwner(needs, facts.networks, name);
  return (
    owner &&
    `a network named ${name} already exists, made by ${owner}: create a stack with another name, with \`${commandLine("init", "-s", "NAME")}\``
  );
}

/** The daemon would hand out the volume that is there, and a destroy would remove it with what is in it. */
function volumeProblem(needs: HostNeeds, facts: HostFacts, { volume }: HostNeeds["notebooks"][number]) {
  const owner = otherOwner(needs, facts.volumes, volume);
  return (
    owner && `a volume named ${volume} already exists, made by ${owner}: give the notebook another \`name\``
  );
}

function nameProblem(needs: HostNeeds, facts: HostFacts, { name }: HostNeeds["notebooks"][number]) {
  const owner = otherOwner(needs, facts.containers, name);
  return (
    owner &&
    `a container named ${name} already exists, made by ${owner}: give the notebook another \`name\`, or, if that one is yours, rename it with \`docker rename ${name} ${name}-old\``
  );
}

/** That the daemon is the one that the stack is on, where that is known. */
function daemonCheck({ stack, holdings }: HostNeeds, { daemon }: HostFacts): Check[] {
  const problem = daemon && holdings && otherDaemon(stack, holdings, daemon);
  return problem
    ? [check("Docker daemon", { found: daemon.id, needed: String(holdings?.daemon?.id) }, problem)]
    : [];
}

/** Everything that the stack wants for itself, and whether it can have it. */
function claims(needs: HostNeeds, facts: HostFacts): Check[] {
  const free = (problem: string | undefined) => ({ found: problem ? "taken" : "free", needed: "free" });
  const stack = stackProblem(needs, facts);
  const network = networkProblem(needs, facts);
  const whose = check(
    `stack ${needs.stack}`,
    { found: stack ? "another's" : "yours or new", needed: "yours or new" },
    stack,
  );
  const each = [
    check(`network ${needs.network}`, free(network), network),
    ...needs.notebooks.flatMap((notebook, index) => {
      const { name, port, address } = notebook;
      const key = (part: string, problem: string | undefined) =>
        problem && `gpubox:notebooks[${index}].${part}: ${problem}`;
      const named = nameProblem(needs, facts, notebook) ?? volumeProblem(needs, facts, notebook);
      const ported = portProblem(needs, facts, notebook);
      return [
        check(`container ${name}`, free(named), key("name", named)),
        check(`port ${port} of ${address}`, free(ported), key("port", ported)),
      ];
    }),
  ];
  // Where the stack is another's, what else of it has a name that is wanted is no matter of its own.
  return [whose, ...(stack ? each.filter(({ status }) => status !== "ok") : each)];
}

/** Everything about a host that a stack depends on, best read from top to bottom. */
export function hostChecks(needs: HostNeeds, facts: HostFacts): Check[] {
  const other = daemonCheck(needs, facts);
  // Nothing on another one is the stack's.
  if (other.length > 0) return other;
  return [
    ...machineChecks(needs, facts),
    ...gpuChecks(needs, facts),
    ...notebookChecks(needs, facts),
    ...claims(needs, facts),
    ...volumeChecks(needs, facts),
    ...checkoutChecks(needs, facts),
  ];
}

/** Everything that keeps a host from serving a stack, each with the config key and the command that fixes it. */
export function preflightProblems(needs: HostNeeds, facts: HostFacts): string[] {
  return hostChecks(needs, facts).flatMap(({ status, problem }) =>
    status === "fail" && problem ? [problem] : [],
  );
}

/**
 * Refuses a host that has problems.
 *
 * @param where the host, as the message names it
 * @throws UserError with a line for each problem
 */
export function refuse(where: string, problems: string[]): void {
  if (problems.length === 0) return;
  throw new UserError(
    [`${where} cannot serve the stack; nothing was created:`, ...problems.map((line) => `  ${line}`)].join(
      "\n",
    ),
  );
}
