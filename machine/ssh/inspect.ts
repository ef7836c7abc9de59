/** Looking over a machine that is reached by SSH, before anything is made on it. */

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { UserError } from "../../errors.ts";
import { legible } from "../../text/legible.ts";
import { preflightProblems, refuse } from "../checks/preflight.ts";
import { furtherFolders, type HostNeeds } from "../facts.ts";
import { INSPECT_ARGS } from "../gpus.ts";
import { dockerProblem, factsOf, type Inspection, type Machine, machineOf } from "../inspection.ts";
import { type HostScript, lastLine, selfContained } from "../scripts.ts";
import {
  inspectionScript,
  keyscanCommand,
  ownOutput,
  type SshConnection,
  socketProblem,
  sshCommand,
} from "./command.ts";
import {
  explainHostKey,
  explainPrinting,
  explainSilence,
  explainSsh,
  type SshFailure,
  unreachable,
} from "./failure.ts";

/** What a program that was run to its end left behind. */
interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Longest look at a machine, in milliseconds: a run that cannot begin says so within a minute. */
const PATIENCE_MS = 50_000;

async function runToEnd(
  [file = "", ...args]: string[],
  stdin = "",
  timeout: number = PATIENCE_MS,
): Promise<Ended> {
  const child = spawn(file, args, { timeout });
  // A program that ends without reading is not at fault.
  child.stdin.on("error", () => {}).end(stdin);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr: legible(stderr) };
}

/**
 * Runs a script of `host-scripts/` on a machine and gives what it printed.
 *
 * @param stack name of the stack, for the message
 * @param patience milliseconds after which it is given up
 * @throws UserError naming the step that failed when the machine cannot be reached
 */
export async function runOnMachine(
  connection: SshConnection,
  script: HostScript,
  environment: Record<string, string>,
  stack: string,
  patience: number = PATIENCE_MS,
): Promise<string> {
  return (await runScript(connection, script, environment, stack, patience)).printed;
}

/** Exit status of ssh itself; no script of ours ends with it. */
const SSH_FAILED = 255;

/** Like `runOnMachine`, and gives what the login shell printed around it as well. */
async function runScript(
  connection: SshConnection,
  script: HostScript,
  environment: Record<string, string>,
  stack: string,
  patience: number,
): Promise<{ printed: string; around: string }> {
  const socket = socketProblem(process.env.HOME ?? "");
  if (socket !== undefined) throw new UserError(unreachable(connection, "ssh itself", [socket]));
  const line = inspectionScript(connection);
  const text = selfContained(script, environment);
  const ended = await runToEnd(["/bin/sh", "-c", line], text, patience);
  const own = ownOutput(ended.stdout);
  if (ended.code === 0 && own) return own;
  const failure = failureOf(connection, ended, own !== undefined, patience);
  const tell =
    failure.step === "host key"
      ? explainHostKey(connection, failure, await offeredKey(connection), `Pulumi.${stack}.yaml`)
      : failure.tell;
  throw new UserError(unreachable(connection, failure.step, tell));
}

function failureOf(
  connection: SshConnection,
  { code, stdout, stderr }: Ended,
  hasBegun: boolean,
  patience: number,
): SshFailure {
  const lines = stderr.trim().split("\n").filter(Boolean);
  if (code === null)
    return { step: "connect", tell: [`it did not answer for ${patience / 1000} s`, ...lines] };
  if (hasBegun && code !== SSH_FAILED) return { step: "script", tell: lines.slice(-5) };
  const failure = explainSsh(connection, stderr);
  const isSilent = failure.step === "login shell" && !hasBegun && code !== SSH_FAILED;
  return isSilent ? explainSilence(connection, stdout || stderr) : failure;
}

/** The key that a machine shows, as its configuration would have it; undefined where it shows none. */
async function offeredKey(connection: SshConnection): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "gpubox-key-"));
  try {
    const file = join(folder, "known_hosts");
    await runToEnd(keyscanCommand(connection, file));
    const [, type, key] = (await readFile(file, "utf8")).trim().split(/\s+/);
    return type && key && `${type} ${key}`;
  } catch {
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Ends the shared connection, so that the next one is a new login. */
async function endConnection(connection: SshConnection): Promise<void> {
  await runToEnd(sshCommand(connection, "", ["-O", "exit"])).catch(() => {});
}

/** Folders on a machine that are looked at. */
export interface Folders {
  /** Of the stack; may start with `~/`. */
  root: string;
  /** What the notebooks have beside it. */
  further?: string[];
}

/**
 * Finds out what a machine has.
 *
 * @param stack name of the stack, for messages
 * @throws UserError naming the step that failed, when its Docker daemon cannot be used
 */
export async function reachSshMachine(
  connection: SshConnection,
  { root, further = [] }: Folders,
  stack: string,
  patience: number = PATIENCE_MS,
): Promise<Inspection> {
  const environment = { ROOT: root, FOLDERS: further.join("\n"), ...INSPECT_ARGS };
  const { printed, around } = await runScript(connection, "inspect.sh", environment, stack, patience);
  const inspection: Inspection = JSON.parse(lastLine(printed));
  if (around.trim() !== "") {
    const { step, tell } = explainPrinting(connection, around, inspection.shell);
    throw new UserError(unreachable(connection, step, tell));
  }
  const problem = dockerProblem(inspection);
  if (problem === undefined) return inspection;
  // Membership of a group counts from the next login on.
  await endConnection(connection);
  throw new UserError(unreachable(connection, problem.step, [problem.tell]));
}

/**
 * Looks a machine over.
 *
 * @throws UserError naming everything that keeps it from serving the stack
 */
export async function inspectSshMachine(
  connection: SshConnection,
  root: string,
  needs: HostNeeds,
): Promise<Machine> {
  const folders = { root, further: furtherFolders(needs) };
  const inspection = await reachSshMachine(connection, folders, needs.stack.split("/").at(-1) ?? "");
  refuse(connection.address, preflightProblems(needs, factsOf(inspection, needs)));
  return machineOf(inspection);
}
