/** Where a type has no capacity in a zone, the next one is tried. */
import { z } from "zod";
import { rawHost } from "./aws.ts";
import { say } from "./say.ts";
import { runEngine, type Session, tryEngine } from "./session.ts";
import { readState, type State, type StateResource, writeState } from "./state.ts";

const INSTANCE = "aws:ec2/instance:Instance";
const VOLUME = "aws:ebs/volume:Volume";

/** What EC2 answers where another type or zone may be had. Not VcpuLimitExceeded: that is the account's own limit. */
const NO_CAPACITY = /api error (InsufficientInstanceCapacity|Unsupported|MaxSpotInstanceCountExceeded)\b/;

/** An attempt to launch that found no capacity. */
export interface FailedLaunch {
  /** Type and zone, as `gpubox:host.unavailable` has them. */
  placement: string;
  /** EC2's code. */
  code: string;
}

const event = z.object({
  resourcePreEvent: z
    .object({ metadata: z.object({ urn: z.string(), type: z.string(), new: z.any() }) })
    .optional(),
  diagnosticEvent: z.object({ urn: z.string().optional(), message: z.string() }).optional(),
});

/** Finds a launch without capacity among what the engine did, one JSON object a line. */
export function failedLaunch(events: string): FailedLaunch | undefined {
  const all = events.split("\n").flatMap((line) => (line ? [event.parse(JSON.parse(line))] : []));
  const launch = all
    .map((each) => each.resourcePreEvent?.metadata)
    .findLast((made) => made?.type === INSTANCE);
  const said = all
    .flatMap(({ diagnosticEvent }) =>
      diagnosticEvent?.urn === launch?.urn ? [diagnosticEvent?.message] : [],
    )
    .join("\n");
  const code = NO_CAPACITY.exec(said)?.[1];
  const { instanceType, availabilityZone } = launch?.new?.inputs ?? {};
  if (!code || !instanceType || !availabilityZone) return undefined;
  return { placement: `${instanceType}/${availabilityZone}`, code };
}

/**
 * The data volume that a run made for an instance that it then could not have: it was never attached, so it is empty.
 *
 * @param since when the run began, in milliseconds since the epoch
 */
export function emptyVolume({ deployment }: State, since: number): StateResource | undefined {
  const { resources = [] } = deployment;
  if (
    resources.some(({ type }) => type === INSTANCE || type === "aws:ec2/volumeAttachment:VolumeAttachment")
  ) {
    return undefined;
  }
  return resources.find(({ type, created = "" }) => type === VOLUME && Date.parse(created) >= since);
}

/** The state in which a volume goes when it is deleted, and no snapshot is made of its nothing. */
export function withoutKeeping(state: State, { urn }: StateResource): State {
  const resources = state.deployment.resources?.map((resource) =>
    resource.urn === urn
      ? {
          ...resource,
          retainOnDelete: false,
          inputs: { ...resource.inputs, finalSnapshot: false },
          outputs: { ...resource.outputs, finalSnapshot: false },
        }
      : resource,
  );
  return { ...state, deployment: { ...state.deployment, resources } };
}

/** Removes such a volume: it would tie the next attempt to its zone, and cost money for nothing. */
async function dropEmptyVolume(session: Session, since: number): Promise<void> {
  const state = await readState(session);
  const volume = emptyVolume(state, since);
  if (!volume) return;
  await writeState(session, withoutKeeping(state, volume));
  const { code, stderr } = await tryEngine(session, [
    "destroy",
    "--yes",
    "--skip-preview",
    "--target",
    volume.urn,
  ]);
  say(
    code === 0
      ? `${volume.id}: the empty data volume of that attempt is removed again`
      : `${volume.id}: the empty data volume of that attempt could not be removed:\n${stderr}`,
  );
}

/**
 * `pulumi up` until an instance is had or nothing is left to try; every attempt is reported.
 *
 * @returns the engine's exit status
 */
export async function upWithCapacity(session: Session, args: string[]): Promise<number> {
  const host = rawHost(session);
  const unavailable = [...(host.unavailable ?? [])];
  const began = Date.now();
  for (let attempt = 1; ; attempt++) {
    let failed: FailedLaunch | undefined;
    // The run's own copy of the stack's file takes it: the file itself stays as it is, and so does the next run's order.
    const without =
      attempt === 1 ? [] : ["--config", `gpubox:host=${JSON.stringify({ ...host, unavailable })}`];
    const code = await runEngine(session, "up", [...args, ...without], (events) => {
      failed = failedLaunch(events);
    });
    if (!failed) return code;
    say(`attempt ${attempt}: no capacity for ${failed.placement} (${failed.code}); trying what comes next`);
    unavailable.push(failed.placement);
    await dropEmptyVolume(session, began);
  }
}
