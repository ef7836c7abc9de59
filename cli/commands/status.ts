/** `npm run status`: what there is of each notebook, and what the machine is at. */

import { hasStackFile } from "../../config/stack-file.ts";
import { sourced } from "../../machine/aws/prices.ts";
import { conditionOf, endedAs, explain } from "../../machine/docker/condition.ts";
import { dockerEndpoint } from "../../machine/docker/endpoint.ts";
import { dataRootOf, type MachineInfo } from "../../machine/outputs.ts";
import { scriptText } from "../../machine/scripts.ts";
import type { SshConnection } from "../../machine/ssh/command.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { type LocalNotebook, lookAtStack } from "../docker/notebooks.ts";
import { notUp, stackCommand } from "../stack.ts";
import { capture } from "../system/run.ts";
import { say } from "../ui/say.ts";
import { duration, kernelText, machineLines, measured, readUsage, type Usage } from "../ui/usage.ts";

/** What is shown of a notebook. */
type Row = Pick<LocalNotebook, "name" | "condition" | "exitCode" | "health" | "address" | "gpus"> & {
  kernels?: string;
};

/** What is known of a stack. */
interface Seen {
  rows: Row[];
  /** Of the machine it is on. */
  usage?: Usage;
  /** The machine that the stack made: its state as AWS has it. */
  machine?: MachineInfo & { state: string };
  /** Why something is not known. */
  problem?: string;
  /** What is the stack's, and not in its state. */
  strays?: string[];
}

export async function status(context: Context, args: Args): Promise<number> {
  const { stack, options } = args;
  const seen = (await seeHere(context, stack)) ?? (await seeElsewhere(context, args));
  if (options.json) {
    process.stdout.write(`${JSON.stringify(plain(stack, seen), null, 2)}\n`);
    return 0;
  }
  const lines = [
    ...(seen.machine ? [machineText(seen)] : []),
    ...(seen.usage ? machineLines(seen.usage) : []),
  ];
  process.stdout.write(`${table(seen.rows)}${lines.map((line) => `${line}\n`).join("")}`);
  if (seen.rows.length === 0) say(notUp(stack).message);
  else if (seen.problem) say(seen.problem);
  else for (const line of advice(stack, seen.rows)) say(line);
  for (const line of seen.strays ?? []) say(`${line}; \`${stackCommand("up", stack)}\` clears it away`);
  return 0;
}

/** What mends what is wrong; where nothing is, what else there is to know. */
function advice(stack: string, rows: Row[]): string[] {
  const start = stackCommand("up", stack);
  const lines = rows.flatMap(({ name, condition, exitCode, health }) => {
    if (condition === "gone" || condition === "unknown") return [];
    if (condition === "stopped")
      return `${name} is stopped: \`${stackCommand("up", stack, name)}\` starts it`;
    const said = {
      condition,
      unhealthy: health === "unhealthy",
      ...(exitCode !== undefined && { exitCode }),
    };
    return explain(name, said, start) ?? [];
  });
  return lines.length > 0 ? lines : [`links with their tokens: ${stackCommand("url", stack)}`];
}

/** What `--json` prints: no token is in it. */
function plain(stack: string, { rows, usage, machine, problem }: Seen) {
  const made = machine && {
    instance: machine.instance,
    state: machine.state,
    dataVolume: machine.dataVolume,
    cost: machine.cost,
  };
  const notebooks = rows.map(({ name, condition, exitCode, health, address, gpus, kernels }) => ({
    name,
    condition,
    exitCode,
    health,
    address,
    gpus,
    kernels,
  }));
  return { stack, notebooks, machine: made, usage: usage && measured(usage), problem };
}

/** A line for each notebook, in columns. */
export function table(rows: Row[]): string {
  const cells = rows.map(({ name, condition, health, address, gpus, kernels = "" }) => [
    name,
    health ? `${condition} (${health})` : condition,
    address,
    gpus,
    kernels,
  ]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** What the machine costs now, and since when it runs. */
function machineText({ machine, usage }: Seen): string {
  if (!machine) return "";
  const { instance, state, cost } = machine;
  const since = state === "running" && usage?.uptime ? ` for ${duration(usage.uptime)}` : "";
  if (state === "gone") return `machine: ${instance} ${state}`;
  const price = sourced(state === "running" ? cost.running : cost.stopped, cost);
  return `machine: ${instance} ${state}${since}, ${price}`;
}

/** With what the script found out of its container; what the daemon itself has said already counts more. */
function withUsage(row: Row, usage: Usage): Row {
  const container = usage.containers.find(({ name }) => name === row.name);
  if (!container || container.state === "unknown") return row;
  const { state, exitCode, health, kernels } = container;
  const said = state === "gone" ? state : endedAs(conditionOf(state), exitCode);
  const condition = row.condition === "unknown" ? said : row.condition;
  // Docker's own check comes half a minute after the start; a Jupyter that has named its kernels answers.
  const found = row.health || health || undefined;
  const known = found === "starting" && kernels !== null ? "healthy" : found;
  return {
    ...row,
    condition,
    exitCode: row.exitCode ?? (state === "exited" ? exitCode : undefined),
    health: condition === "up" ? known : undefined,
    ...(condition === "up" ? { kernels: kernelText(kernels) } : {}),
  };
}

/** A stack on this machine; undefined where it is not, or its state is in no file. */
async function seeHere(context: Context, stack: string): Promise<Seen | undefined> {
  const looked = await lookAtStack(context, stack);
  if (looked === undefined) return undefined;
  const { notebooks, outputs, problem, strays } = looked;
  const root = outputs.codeFolder && dataRootOf(outputs.codeFolder);
  if (problem || notebooks.length === 0 || !root)
    return { rows: notebooks, problem: problem?.message, strays };
  const env = {
    ...context.env,
    DOCKER_HOST: dockerEndpoint(context.env).host,
    ROOT: root,
    CONTAINERS: notebooks.map(({ name }) => name).join(" "),
  };
  const { code, stdout } = await capture("sh", ["-c", scriptText("status.sh")], { env });
  return { ...withFigures(notebooks, code === 0 ? readUsage(stdout) : undefined), strays };
}

/** With what `status.sh` found out; undefined where it did not say. */
function withFigures(rows: Row[], usage: Usage | undefined): Omit<Seen, "strays"> {
  return usage === undefined
    ? { rows, problem: "what kernels, GPUs and disks are at cannot be told" }
    : { rows: rows.map((row) => withUsage(row, usage)), usage };
}

/** States of an instance in which nothing on it can be asked. */
const OFF = ["stopped", "stopping", "gone"];

/** A stack that is elsewhere: what the last run said of it, and what its machine says now. */
async function seeElsewhere(context: Context, args: Args): Promise<Seen> {
  // Slow to load, and needed only here.
  const { openSession } = await import("../session.ts");
  const { isStackThere } = await import("../pulumi/session.ts");
  const { readOutputs } = await import("../pulumi/outputs.ts");
  const session = await openSession(context, args);
  if (!(await isStackThere(session))) return { rows: [] };
  const { notebooks = [], machine, codeFolder } = await readOutputs(session);
  const rows: Row[] = notebooks.map(({ name, url, gpus }) => ({
    name,
    condition: "unknown",
    health: undefined,
    address: url.replace(/\?.*$/s, ""),
    gpus,
  }));
  if (rows.length === 0 || !codeFolder || !hasStackFile(context.root, session.stack)) return { rows };
  const known = machine && (await session.host.machineState(session));
  const made = machine && { ...machine, state: known?.state ?? "unknown" };
  if (made?.state === "unknown" && known?.problem) return { rows, machine: made, problem: known.problem };
  if (made && OFF.includes(made.state)) {
    const stopped = rows.map(
      (row): Row => ({ ...row, condition: made.state === "gone" ? "gone" : "stopped" }),
    );
    return {
      rows: stopped,
      machine: made,
      problem: known?.problem ?? `\`${stackCommand("up", session.stack)}\` brings it back`,
    };
  }
  try {
    const connection =
      machine?.connection ?? (await session.host.login({ ...session, open: async () => session }));
    const usage = await usageThere(connection, codeFolder, rows, session.stack);
    return { ...withFigures(rows, usage), machine: made };
  } catch (error) {
    return { rows, machine: made, problem: (error as Error).message };
  }
}

/** How long a machine elsewhere may take, in milliseconds. */
const PATIENCE_MS = 15_000;

async function usageThere(
  connection: SshConnection,
  codeFolder: string,
  rows: Row[],
  stack: string,
): Promise<Usage | undefined> {
  const { runOnMachine } = await import("../../machine/ssh/inspect.ts");
  const environment = {
    ROOT: dataRootOf(codeFolder),
    CONTAINERS: rows.map(({ name }) => name).join(" "),
  };
  return readUsage(await runOnMachine(connection, "status.sh", environment, stack, PATIENCE_MS));
}
