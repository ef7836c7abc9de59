/** The machine of a stack whose host is of kind `aws`, as the commands see it. */

import {
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  EC2Client,
  StartInstancesCommand,
  StopInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilInstanceStopped,
} from "@aws-sdk/client-ec2";
import { ROLE_TAG, STACK_TAG } from "../components/host/aws/tags.ts";
import { scriptText } from "../components/host/host.ts";
import { loginCommand, type SshConnection } from "../components/host/ssh-command.ts";
import type { NotebookInfo } from "../components/workspace/notebook.ts";
import { whySilent } from "./host-scripts.ts";
import { readOutputs } from "./outputs.ts";
import { capture } from "./run.ts";
import { Problem, say, step } from "./say.ts";
import { runEngine, type Session } from "./session.ts";
import { npmCommand, readStackFile } from "./setup/stack.ts";
import type { State, StateResource } from "./state.ts";

/** Longest waits, in seconds. */
const PATIENCE = { instance: 600, login: 300, notebook: 300 };

/** The part of `gpubox:host` that is read here, as the stack's file has it; the program checks it. */
interface RawHost {
  region?: string;
  profile?: string;
  unavailable?: string[];
  dataVolume?: { id?: string; keep?: boolean };
}

export function rawHost({ context, stack }: Session): RawHost {
  return (readStackFile(context.root, stack).raw.host ?? {}) as RawHost;
}

/** The instance of a stack, as AWS knows it. */
export interface Machine {
  id: string;
  urn: string;
  /** `running`, `stopped` …; `gone` where AWS has ended or forgotten it. */
  state: string;
  client: EC2Client;
}

const INSTANCE = "aws:ec2/instance:Instance";
const VOLUME = "aws:ebs/volume:Volume";
/** What hangs on an instance and cannot be taken off one that is gone. */
const HANGING = ["aws:ec2/volumeAttachment:VolumeAttachment", "aws:ec2/eipAssociation:EipAssociation"];

const ofType = (state: State, types: string[]): StateResource[] =>
  (state.deployment.resources ?? []).filter(({ type }) => types.includes(type));

/** Looks at a stack's instance. @returns undefined where the stack has none. @throws Problem when AWS cannot be asked */
export async function findMachine(session: Session, state: State): Promise<Machine | undefined> {
  const [instance] = ofType(state, [INSTANCE]);
  if (!instance?.id) return undefined;
  const client = clientOf(session);
  return { id: instance.id, urn: instance.urn, state: await stateOf(client, instance.id), client };
}

function clientOf(session: Session): EC2Client {
  const { region, profile } = rawHost(session);
  return new EC2Client({ region, ...(profile ? { profile } : {}) });
}

async function stateOf(client: EC2Client, id: string): Promise<string> {
  try {
    const { Reservations } = await client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    const state = Reservations?.[0]?.Instances?.[0]?.State?.Name ?? "gone";
    return ["terminated", "shutting-down"].includes(state) ? "gone" : state;
  } catch (error) {
    if ((error as Error).name === "InvalidInstanceID.NotFound") return "gone";
    throw unanswered(id, error as Error);
  }
}

const unanswered = (what: string, { name, message }: Error): Problem =>
  new Problem(
    `AWS cannot be asked about ${what} (${name}: ${message}): are the credentials still valid? \`aws sts get-caller-identity\` says who you are`,
  );

/**
 * Refuses to make a data volume beside one that an earlier destroy kept: that costs twice, and the files are on the other one.
 *
 * @throws Problem naming both ways out
 */
async function refuseSecondVolume(session: Session, state: State): Promise<void> {
  const { region, dataVolume } = rawHost(session);
  if (dataVolume?.id !== undefined || ofType(state, [VOLUME]).length > 0) return;
  const Filters = [
    { Name: `tag:${STACK_TAG}`, Values: [session.label] },
    { Name: `tag:${ROLE_TAG}`, Values: ["data"] },
    { Name: "status", Values: ["creating", "available", "in-use"] },
  ];
  const { Volumes = [] } = await clientOf(session)
    .send(new DescribeVolumesCommand({ Filters }))
    .catch((error) => {
      throw unanswered("data volumes that were kept", error);
    });
  if (Volumes.length === 0) return;
  const ids = Volumes.map(({ VolumeId }) => VolumeId);
  throw new Problem(
    [
      `the data of stack ${session.stack} is still there: ${Volumes.map(({ VolumeId, Size, AvailabilityZone }) => `${VolumeId} (${Size} GB, ${AvailabilityZone})`).join(", ")}. Nothing was created.`,
      ...ids.map((id) => `  to go on with it, below gpubox:host:   dataVolume: {id: ${id}}`),
      "  to begin anew and keep it for later:  " +
        `aws ec2 delete-tags --region ${region} --tags Key=${ROLE_TAG} --resources ${ids.join(" ")}`,
      ...ids.map(
        (id) =>
          `  to delete it and all that is on it:   aws ec2 delete-volume --region ${region} --volume-id ${id}`,
      ),
    ].join("\n"),
  );
}

const wait = (client: EC2Client) => ({ client, maxWaitTime: PATIENCE.instance, minDelay: 2, maxDelay: 10 });

/** Stops an instance; nothing is lost, and its disks and its address stay. Does nothing where it is stopped already. */
export async function stopMachine({ stack }: Session, { id, state, client }: Machine): Promise<void> {
  if (state === "stopped") return say(`${id} is stopped already`);
  if (state === "gone") return say(`${id} is gone: \`${npmCommand("start", stack)}\` makes another`);
  await step(`${id}: stopping it`, async () => {
    await client.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceStopped(wait(client), { InstanceIds: [id] });
  });
}

/**
 * Starts a stack's instance where it is stopped, by `npm run stop` or by itself, and waits until its notebooks answer.
 *
 * @throws Problem when it cannot be started or reached
 */
export async function startMachine(session: Session, { id, state, client }: Machine): Promise<void> {
  if (state === "running") return;
  await step(`${id}: starting it`, async () => {
    // What is still stopping can only be started once it has.
    if (state === "stopping") await waitUntilInstanceStopped(wait(client), { InstanceIds: [id] });
    if (state !== "pending")
      await client.send(new StartInstancesCommand({ InstanceIds: [id] })).catch(refused(session));
    await waitUntilInstanceRunning(wait(client), { InstanceIds: [id] });
  });
  const { machine, notebooks = [] } = await readOutputs(session);
  // A first run that did not get so far has no outputs; the engine goes on with it.
  if (!machine) return;
  await step(`${machine.connection.address}: waiting for it`, () => reachable(session, machine.connection));
  for (const notebook of notebooks) await notebookAnswers(session, machine.connection, notebook);
}

const refused =
  ({ stack }: Session) =>
  (error: Error): never => {
    throw new Problem(
      `AWS does not start it (${error.name}: ${error.message}). Where there is no capacity, try again later, or let \`${npmCommand("start", stack)}\` take another type: put one into gpubox:host.instanceTypes and take this one out`,
    );
  };

async function reachable(session: Session, connection: SshConnection): Promise<void> {
  const env = {
    ...session.env,
    CONNECT: loginCommand(connection),
    ADDRESS: connection.address,
    TIMEOUT: String(PATIENCE.login),
  };
  const { code, stderr } = await capture("sh", ["-c", scriptText("wait-for-ssh.sh")], { env });
  if (code !== 0) throw new Problem(stderr.trim());
}

async function notebookAnswers(
  { context }: Session,
  connection: SshConnection,
  { name, port }: NotebookInfo,
): Promise<void> {
  const notebook = { name, address: "127.0.0.1", port };
  const why = await step(`${name}: waiting for it`, () =>
    whySilent(context, notebook, PATIENCE.notebook, { connection }),
  );
  if (why !== undefined) throw new Problem(`${name} does not answer: ${why}`);
}

/** Takes what hangs on an instance that is gone out of the state, which cannot be taken off it any more. */
export async function forgetHanging(session: Session, state: State): Promise<void> {
  const targets = ofType(state, HANGING).flatMap(({ urn }) => ["--target", urn]);
  if (targets.length === 0) return;
  const options = ["--yes", "--skip-preview", "--non-interactive"];
  const code = await runEngine({ ...session, rest: [] }, "refresh", [...options, ...targets]);
  if (code !== 0) throw new Problem("what belonged to the instance that is gone could not be looked at");
}

/**
 * Sees to it that the engine finds a stack's instance as it expects it: running, or made again.
 *
 * @returns arguments for `pulumi up`
 */
export async function wakeMachine(session: Session, state: State): Promise<string[]> {
  await refuseSecondVolume(session, state);
  const machine = await findMachine(session, state);
  if (!machine) return [];
  if (machine.state !== "gone") {
    await startMachine(session, machine);
    return [];
  }
  say(`${machine.id} is gone from AWS; another is made, and the data volume goes to it`);
  await forgetHanging(session, state);
  return ["--replace", machine.urn];
}

/** What the person is told to be there still when a stack is torn down. */
export function whatStaysOnAws(
  stack: string,
  { region, dataVolume }: RawHost,
  volume: string | undefined,
): string {
  const gone = `stack ${stack} is torn down.`;
  if (volume === undefined) return gone;
  if (dataVolume?.id === undefined && dataVolume?.keep === false) {
    return `${gone} What stays, and costs money: the last snapshot of the data volume; \`aws ec2 describe-snapshots --region ${region} --filters Name=volume-id,Values=${volume}\` shows it.`;
  }
  return [
    `${gone} What stays, and costs money: the data volume ${volume} with your files.`,
    `  to go on with it, below gpubox:host:  dataVolume: {id: ${volume}}`,
    `  to delete it and all that is on it:   aws ec2 delete-volume --region ${region} --volume-id ${volume}`,
  ].join("\n");
}
