/** The machine of a stack whose host is of kind `aws`, as the commands see it. */

import {
  CancelSpotInstanceRequestsCommand,
  DescribeInstancesCommand,
  DescribeSpotInstanceRequestsCommand,
  type EC2Client,
  type Instance,
  type SpotInstanceRequest,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilInstanceStopped,
  waitUntilInstanceTerminated,
} from "@aws-sdk/client-ec2";
import { UserError } from "../../../errors.ts";
import { isSpot, THERE } from "../../../machine/aws/instances.ts";
import { STACK_TAG } from "../../../machine/aws/tags.ts";
import type { NotebookInfo } from "../../../machine/outputs.ts";
import { TYPE } from "../../../machine/resource-types.ts";
import { scriptText } from "../../../machine/scripts.ts";
import { loginCommand, type SshConnection } from "../../../machine/ssh/command.ts";
import type { State, StateResource } from "../../pulumi/checkpoint.ts";
import { leaves, lookAhead } from "../../pulumi/consent.ts";
import { readOutputs } from "../../pulumi/outputs.ts";
import { runEngine } from "../../pulumi/run-engine.ts";
import type { Session } from "../../pulumi/session.ts";
import { readState, writeState } from "../../pulumi/state.ts";
import { stackCommand } from "../../stack.ts";
import { whySilent } from "../../system/host-scripts.ts";
import { capture } from "../../system/run.ts";
import { say, step } from "../../ui/say.ts";
import {
  clientOf,
  ofType,
  rawHost,
  requireOwnAccount,
  requireOwnRegion,
  settingsOf,
  unanswered,
} from "./account.ts";
import { refuseSecondVolume } from "./volume.ts";

/** Longest waits, in seconds. */
const PATIENCE_SECONDS = { instance: 600, login: 300, notebook: 300 };

/** The instance of a stack, as AWS knows it. */
export interface Machine {
  id: string;
  urn: string;
  /** `running`, `stopped` …; `gone` where AWS has ended or forgotten it. */
  state: string;
  /** Whether it is spare capacity. */
  spot: boolean;
  /** Why only AWS can start it: it has taken it back, and gives it back once there is capacity. In AWS's words. */
  interrupted: string | undefined;
  /** Whether AWS neither stops nor starts it any more: somebody has cancelled the request of a spot instance. */
  adrift: boolean;
  client: EC2Client;
}

/** What hangs on an instance and cannot be taken off one that is gone. */
const HANGING = [TYPE.volumeAttachment, TYPE.eipAssociation];

/**
 * Looks at a stack's instance.
 *
 * @returns undefined where the stack has none
 * @throws UserError when AWS cannot be asked, or is asked as somebody of another account, who would find that all of it is gone
 */
export async function findMachine(session: Session, state: State): Promise<Machine | undefined> {
  await requireOwnAccount(session, state);
  const [instance] = ofType(state, [TYPE.instance]);
  if (!instance?.id) return undefined;
  const client = clientOf(session, state);
  return { id: instance.id, urn: instance.urn, client, ...(await lookAt(client, instance.id)) };
}

type Looked = Pick<Machine, "state" | "spot" | "interrupted" | "adrift">;

async function lookAt(client: EC2Client, id: string): Promise<Looked> {
  const gone: Looked = { state: "gone", spot: false, interrupted: undefined, adrift: false };
  try {
    const { Reservations } = await client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    const instance = Reservations?.[0]?.Instances?.[0];
    const state = instance?.State?.Name;
    if (!instance || !state || !THERE.includes(state)) return gone;
    return { ...gone, state, ...(await lookAtRequest(client, instance)) };
  } catch (error) {
    if ((error as Error).name === "InvalidInstanceID.NotFound") return gone;
    throw unanswered(id, error as Error);
  }
}

/** Requests that have ended; AWS forgets them some time later. */
const ENDED = ["cancelled", "closed", "failed"];

/** What the request of an instance on spot says of it. */
async function lookAtRequest(
  client: EC2Client,
  { InstanceLifecycle, SpotInstanceRequestId, State }: Instance,
): Promise<Partial<Looked>> {
  if (!isSpot(InstanceLifecycle)) return {};
  const request = SpotInstanceRequestId ? await requestOf(client, SpotInstanceRequestId) : undefined;
  const code = request?.Status?.Code ?? "";
  const isTakenBack =
    /^(instance-stopped-(?!by-user)|marked-for-stop)/.test(code) && State?.Name !== "running";
  return {
    spot: true,
    interrupted: isTakenBack ? code : undefined,
    adrift: !request || ENDED.includes(request.State ?? ""),
  };
}

/** Undefined where AWS has forgotten it. */
async function requestOf(client: EC2Client, id: string): Promise<SpotInstanceRequest | undefined> {
  const asked = client.send(new DescribeSpotInstanceRequestsCommand({ SpotInstanceRequestIds: [id] }));
  const { SpotInstanceRequests } = await asked.catch((error) => {
    if (error.name !== "InvalidSpotInstanceRequestID.NotFound") throw error;
    return { SpotInstanceRequests: [] };
  });
  return SpotInstanceRequests?.[0];
}

const wait = (client: EC2Client) => ({
  client,
  maxWaitTime: PATIENCE_SECONDS.instance,
  minDelay: 2,
  maxDelay: 10,
});

/**
 * Stops an instance; nothing is lost, and its disks and its address stay. Does nothing where it is stopped already.
 *
 * @throws UserError where AWS does not stop it
 */
export async function stopMachine({ stack }: Session, machine: Machine): Promise<void> {
  const { id, state, client } = machine;
  if (state === "stopped") return say(`${id} is already stopped`);
  if (state === "gone") return say(`${id} is gone: \`${stackCommand("up", stack)}\` creates another`);
  if (machine.adrift) {
    throw new UserError(
      `${id} is a spot instance whose request was cancelled, so AWS can no longer stop it. \`${stackCommand("up", stack)}\` replaces it, and \`${stackCommand("destroy", stack)}\` terminates it; both keep your files on the data volume`,
    );
  }
  await step(`${id}: stopping it`, async () => {
    await client.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceStopped(wait(client), { InstanceIds: [id] });
  });
}

/**
 * Starts a stack's instance where it is stopped, by `npm run stop` or by itself, and waits until its notebooks answer.
 *
 * @throws UserError when it cannot be started or reached
 */
export async function startMachine(session: Session, machine: Machine): Promise<void> {
  const { id, state, client, interrupted } = machine;
  if (state === "running") return;
  if (interrupted) throw new UserError(takenBack(session, machine));
  await step(`${id}: starting it`, async () => {
    // What is still stopping can only be started once it has.
    if (state === "stopping") await waitUntilInstanceStopped(wait(client), { InstanceIds: [id] });
    if (state !== "pending")
      await client.send(new StartInstancesCommand({ InstanceIds: [id] })).catch(refused(session));
    await waitUntilInstanceRunning(wait(client), { InstanceIds: [id] });
  });
  const { machine: made, notebooks = [] } = await readOutputs(session);
  // A first run that did not get so far has no outputs; the engine goes on with it.
  if (!made) return;
  const { connection } = made;
  await step(`${connection.address}: waiting for it`, () => reachable(session, connection));
  for (const notebook of notebooks) await notebookAnswers(session, connection, notebook);
}

/** What there is to do about an instance that AWS has taken back. */
export function takenBack({ stack }: Pick<Session, "stack">, { id, interrupted }: Machine): string {
  const start = stackCommand("up", stack);
  return [
    `${id} is a spot instance that AWS interrupted (${interrupted}): only AWS can start it again, and does so once it has capacity. Your files are on the data volume.`,
    `  to wait:  \`${stackCommand("status", stack)}\` shows when it runs; then run \`${start}\``,
    `  to continue without spot:  set \`spot: false\` in gpubox:host, then run \`${start}\``,
    `  to continue with another type:  replace this one in gpubox:host.instanceTypes, then run \`${start}\``,
    "Both replace the machine: the data volume and the address move to the new one; images and home volumes on the old one are lost.",
  ].join("\n");
}

const refused =
  ({ stack }: Session) =>
  (error: Error): never => {
    throw new UserError(
      `AWS does not start it (${error.name}: ${error.message}). If there is no capacity, try again later, or replace this type in gpubox:host.instanceTypes and run \`${stackCommand("up", stack)}\``,
    );
  };

async function reachable(session: Session, connection: SshConnection): Promise<void> {
  const env = {
    ...session.env,
    CONNECT: loginCommand(connection),
    ADDRESS: connection.address,
    TIMEOUT: String(PATIENCE_SECONDS.login),
  };
  const { code, stderr } = await capture("sh", ["-c", scriptText("wait-for-ssh.sh")], { env });
  if (code !== 0) throw new UserError(stderr.trim());
}

async function notebookAnswers(
  { context }: Session,
  connection: SshConnection,
  { name, port }: NotebookInfo,
): Promise<void> {
  const notebook = { name, address: "127.0.0.1", port };
  const why = await step(`${name}: waiting for it`, () =>
    whySilent(context, notebook, PATIENCE_SECONDS.notebook, { connection }),
  );
  if (why !== undefined) throw new UserError(`${name} does not answer: ${why}`);
}

/**
 * Takes what hangs on an instance that is gone out of the state, which cannot be taken off it any more, and the request that it came
 * from: AWS forgets that some time later, and the provider fails to cancel one that is forgotten. Ours, which goes with it, does not.
 */
export async function forgetHanging(session: Session, state: State): Promise<void> {
  const targets = ofType(state, HANGING).flatMap(({ urn }) => ["--target", urn]);
  if (targets.length > 0) {
    const options = ["--yes", "--skip-preview", "--non-interactive"];
    const code = await runEngine({ ...session, rest: [] }, "refresh", [...options, ...targets]);
    if (code !== 0) throw new UserError("could not check for leftovers of the instance that is gone");
  }
  const left = await readState(session);
  if (ofType(left, [TYPE.instance]).some(isOnSpot)) await writeState(session, withoutRequest(left));
}

const isOnSpot = ({ outputs }: StateResource): boolean => isSpot(outputs?.instanceLifecycle);

/** A state in which no instance is known to be on spot. Pure. */
export function withoutRequest(state: State): State {
  const resources = state.deployment.resources?.map((resource) =>
    resource.type === TYPE.instance && isOnSpot(resource)
      ? { ...resource, outputs: { ...resource.outputs, instanceLifecycle: "", spotInstanceRequestId: "" } }
      : resource,
  );
  return { ...state, deployment: { ...state.deployment, resources } };
}

/**
 * Ends instances that a run was making when it was killed: the state does not know them, so that nothing was ever done on them, and they
 * cost money. They are the stack's by the key that they were made with, whose name no other stack has.
 */
export async function endStrays(session: Session, state: State): Promise<void> {
  const keys = ofType(state, [TYPE.keyPair]).flatMap(({ id }) => id ?? []);
  if (keys.length === 0) return;
  const client = clientOf(session, state);
  const Filters = [
    { Name: `tag:${STACK_TAG}`, Values: [session.stackId] },
    { Name: "instance-state-name", Values: THERE },
  ];
  const { Reservations = [] } = await client
    .send(new DescribeInstancesCommand({ Filters }))
    .catch((error) => {
      throw unanswered(`instances that carry the tag of stack ${session.stack}`, error);
    });
  const known = ofType(state, [TYPE.instance]).map(({ id }) => id);
  const strays = Reservations.flatMap(({ Instances = [] }) => Instances).filter(
    ({ InstanceId, KeyName = "" }) => keys.includes(KeyName) && !known.includes(InstanceId),
  );
  // Where runs elsewhere are not kept apart from ours, one of those may be making it.
  if (!session.place) {
    for (const { InstanceId } of strays)
      say(
        `${InstanceId} has the key of stack ${session.stack} but is not in its state. Unless a run is creating it now, it is left over from one that was killed, and costs money; to terminate it: aws ec2 terminate-instances --region ${settingsOf(session, state).region} --instance-ids ${InstanceId}`,
      );
    return;
  }
  for (const { InstanceId = "", SpotInstanceRequestId } of strays) {
    await step(`${InstanceId}: terminating it, left over from a run that was killed`, async () => {
      const ids = { SpotInstanceRequestIds: [SpotInstanceRequestId ?? ""] };
      if (SpotInstanceRequestId) await client.send(new CancelSpotInstanceRequestsCommand(ids));
      await client.send(new TerminateInstancesCommand({ InstanceIds: [InstanceId] }));
    });
  }
  const looked = withoutPending(state);
  if (looked !== state) await writeState(session, looked);
}

/** A state in which no instance is said to be half made: what there was of that has been looked for. Pure. */
export function withoutPending(state: State): State {
  const pending = state.deployment.pending_operations ?? [];
  const rest = pending.filter(({ type, resource }) => type !== "creating" || resource.type !== TYPE.instance);
  if (rest.length === pending.length) return state;
  return { ...state, deployment: { ...state.deployment, pending_operations: rest } };
}

/** What `npm start` has to do about a stack's instance. */
export interface Awake {
  /** Arguments for `pulumi up`. */
  args: string[];
  /** Whether an instance that the arguments have replaced is gone, and nothing lost by that any more. */
  isGone: boolean;
  /** What is to be done before the engine, once the person has agreed. */
  first?: () => Promise<void>;
}

/**
 * Sees to it that the engine finds a stack's instance as it expects it: running, or to be made again.
 *
 * @throws UserError where it cannot be started, or a data volume is there that would be left beside another
 */
export async function prepareInstance(session: Session, state: State): Promise<Awake> {
  const asItIs: Awake = { args: [], isGone: false };
  requireOwnRegion(session, state);
  await refuseSecondVolume(session, state);
  const machine = await findMachine(session, state);
  await endStrays(session, state);
  if (!machine) return asItIs;
  const { id, urn } = machine;
  const anew: Awake = { args: ["--replace", urn], isGone: machine.state === "gone" };
  if (anew.isGone) {
    say(`${id} is gone from AWS; creating another, which gets the data volume`);
    await forgetHanging(session, state);
    return anew;
  }
  if (machine.adrift) {
    say(
      `${id} is a spot instance whose request was cancelled, so AWS neither stops nor starts it: creating another`,
    );
    return { ...anew, first: () => endAdrift(session, state, machine) };
  }
  // One that is to be another need not run. The engine sees the difference by itself where it has made this one so.
  if (machine.spot !== (rawHost(session).spot ?? false)) return anew;
  if (machine.interrupted && !leaves(await lookAhead(session, []), urn)) return asItIs;
  await startMachine(session, machine);
  return asItIs;
}

/** Ends an instance that AWS does not stop, so that nothing waits for it to stop: its file systems are put in order as it shuts down. */
export async function endAdrift(session: Session, state: State, { id, client }: Machine): Promise<void> {
  await step(`${id}: terminating it`, async () => {
    await client.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await waitUntilInstanceTerminated(wait(client), { InstanceIds: [id] });
  });
  await forgetHanging(session, state);
}
