import { readWholeConfig } from "../../config/load.ts";
import type { Config } from "../../config/schema.ts";
import { shortName, stackFile, stackLabel } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { type Check, check } from "../../machine/checks/check.ts";
import { notebookCheck } from "../../machine/checks/notebooks.ts";
import { hostChecks } from "../../machine/checks/preflight.ts";
import { explainSilence, readStatus } from "../../machine/docker/condition.ts";
import { furtherFolders, type HostFacts, type HostNeeds } from "../../machine/facts.ts";
import { factsOf } from "../../machine/inspection.ts";
import { lookAtLocalMachine } from "../../machine/local.ts";
import { hostNeeds } from "../../machine/needs.ts";
import { withAdopted } from "../../machine/owner.ts";
import { reachSshMachine } from "../../machine/ssh/inspect.ts";
import type { Context } from "../context.ts";
import { credentialChecks } from "../docker/credential-helpers.ts";
import { type DockerAddress, daemonProblem, dockerAddress, pingDocker } from "../docker/daemon.ts";
import { installedParts, planDocker } from "../docker/install.ts";
import { findStrays, list, strayText } from "../docker/on-daemon.ts";
import { readAdopted } from "../pulumi/adopted.ts";
import { findPlaces, readStateFile } from "../pulumi/checkpoint.ts";
import { findHoldings } from "../pulumi/state.ts";
import { npmCommand } from "../stack.ts";
import { inspectMachine } from "../system/packages.ts";
import { findProgram } from "../system/path.ts";
import { type NotebookHost, whySilent } from "./scripts.ts";

/** Longest look at a machine elsewhere, in milliseconds. */
const PATIENCE = 9_000;
/** How long a notebook that was just started may take to answer, in seconds. */
const ANSWER_PATIENCE = 8;
/** Longest wait for a daemon's first word, in milliseconds. */
const PING_PATIENCE = 3_000;

/** Looks at everything; what cannot be looked at is a check that fails. */
export async function findChecks(context: Context, stack: string): Promise<Check[]> {
  const about = { found: "", needed: "what docs/configuration.md allows" };
  let config: Config;
  try {
    config = readWholeConfig(context.root, stack);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [check("configuration", { ...about, found: "not right" }, error.message)];
  }
  const read = check("configuration", { ...about, found: stackFile(".", stack) });
  const passwords = credentialChecks(config.image, context.env);
  return [read, ...passwords, ...(await hostOf(context, stack, config))];
}

async function hostOf(context: Context, stack: string, config: Config): Promise<Check[]> {
  const known = findHoldings(findPlaces(context, stack));
  const holdings = known && withAdopted(known, readAdopted(context, stack));
  const needs = hostNeeds(stackLabel(context.root, stack), config, holdings);
  const { host, root } = config;
  if (host.kind === "local") return await localChecks(context, stack, root, needs);
  if (host.kind === "ssh") {
    const { kind: _, ...connection } = host;
    const about = {
      found: `${connection.address} answers`,
      needed: "a login, and a host key that is trusted",
    };
    try {
      const folders = { root, further: furtherFolders(needs) };
      const inspection = await reachSshMachine(connection, folders, shortName(stack), PATIENCE);
      const checks = await checksOfHost(context, stack, needs, factsOf(inspection, needs), { connection });
      return [check("SSH", about), ...checks];
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return [check("SSH", { ...about, found: "no machine to use" }, error.message)];
    }
  }
  // Loads what speaks to AWS.
  const { awsChecks } = await import("./aws/doctor.ts");
  return await awsChecks(host);
}

/** The checks of a host. A notebook that was just started is asked whether it answers: one that stops again and again runs in between. */
async function checksOfHost(
  context: Context,
  stack: string,
  needs: HostNeeds,
  facts: HostFacts,
  machine: NotebookHost,
): Promise<Check[]> {
  const looks = hostChecks(needs, facts).map(async (each) => {
    const notebook = needs.notebooks.find(({ name }) => each.check === notebookCheck(name));
    const { status = "" } = facts.containers.find(({ name }) => name === notebook?.name) ?? {};
    if (!notebook || !readStatus(status).starting) return each;
    const { name } = notebook;
    const why = await whySilent(context, notebook, ANSWER_PATIENCE, machine);
    if (why === undefined) return each;
    const found = { found: "no answer yet", needed: "up or stopped" };
    return check(each.check, found, explainSilence(name, why, npmCommand("logs", stack, name)), "warn");
  });
  return await Promise.all(looks);
}

/** A check for each thing that is the stack's, and that its state does not know. */
async function strayChecks(context: Context, stack: string, host: string): Promise<Check[]> {
  const state = readStateFile(findPlaces(context, stack));
  const strays = state ? await findStrays(host, state, PATIENCE) : [];
  return strays.map((each) =>
    check(
      list([each]),
      { found: "not in the state", needed: "in the state" },
      `${strayText(each)}; \`${npmCommand("start", stack)}\` clears it away`,
      "warn",
    ),
  );
}

async function localChecks(
  context: Context,
  stack: string,
  root: string,
  needs: HostNeeds,
): Promise<Check[]> {
  let address: DockerAddress;
  try {
    address = dockerAddress(context.env);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [check("Docker", { ...noDaemon(""), found: "none to use" }, error.message)];
  }
  const ping = await pingDocker(address.host, PING_PATIENCE);
  if (ping === "ok") {
    try {
      const { facts } = await lookAtLocalMachine(needs, root, address.host);
      const [checks, strays] = await Promise.all([
        checksOfHost(context, stack, needs, facts, { daemon: address.host }),
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
      `it is not running: \`${npmCommand("start", stack)}\` ${will} first`,
      "warn",
    ),
  ];
}

/** A daemon may be there without the program that speaks to it. */
export function clientCheck({ env }: Pick<Context, "env">): Check {
  const found = findProgram("docker", env.PATH);
  const about = { found: found ?? "not on PATH", needed: found ?? "the command `docker`" };
  const problem =
    "shells, logs and the proof that a GPU computes take the command `docker`: install it, on Debian and Ubuntu with `sudo apt-get install docker-cli`, or where there is no such package `docker.io`";
  return check("docker command", about, found ? undefined : problem, "warn");
}

const noDaemon = (host: string) => ({ found: `no answer at ${host}`, needed: "a daemon that answers you" });

/** A line for each check, in columns, and below it what is wrong. */
export function formatChecks(checks: Check[]): string {
  const width = Math.max(...checks.map(({ check: name }) => name.length));
  return checks
    .map(({ status, check: name, found, needed, problem }) => {
      const target = needed === found ? "" : ` (needed: ${needed})`;
      const line = `${status.padEnd(4)}  ${name.padEnd(width)}  ${found}${target}\n`;
      return problem === undefined ? line : `${line}      ${problem.replaceAll("\n", "\n      ")}\n`;
    })
    .join("");
}

/** How many checks there were, and how many of them did not pass. */
export function summary(checks: Check[]): string {
  const count = (status: Check["status"]) => checks.filter((each) => each.status === status).length;
  const parts = [`${count("ok")} ok`];
  const warnings = count("warn");
  if (warnings > 0) parts.push(`${warnings} warning${warnings === 1 ? "" : "s"}`);
  if (count("fail") > 0) parts.push(`${count("fail")} failed; nothing was created`);
  return `checks: ${parts.join(", ")}`;
}
