/** Where an instance cannot be had in one place, the next one is tried. */

import { z } from "zod";
import { placementName } from "../../../machine/aws/capacity.ts";
import { quotaReached } from "../../../machine/aws/quota.ts";
import { TYPE } from "../../../machine/resource-types.ts";
import type { State, StateResource } from "../../pulumi/checkpoint.ts";
import { runEngine } from "../../pulumi/run-engine.ts";
import { type Session, tryEngine } from "../../pulumi/session.ts";
import { readState, writeState } from "../../pulumi/state.ts";
import { stackCommand } from "../../stack.ts";
import { say } from "../../ui/say.ts";
import { rawHost } from "./account.ts";

/** A launch that EC2 refused. */
export interface FailedLaunch {
  instanceType: string;
  zone: string;
  spot: boolean;
  /** EC2's code. */
  code: string;
}

/** What a refusal means. */
interface Refusal {
  /** What need not be tried again: the type in the zone, the zone, or the type. */
  rules: "placement" | "zone" | "type";
  why(launch: FailedLaunch, region: string): string;
}

const noCapacity: Refusal = {
  rules: "placement",
  why: (launch) => `no capacity for ${placementName(launch)}`,
};
const accountsLimit: Refusal = {
  rules: "type",
  why: ({ instanceType, spot }, region) => quotaReached(instanceType, spot, region),
};

/**
 * EC2's codes for which something else may be had, as https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html
 * describes them. Not those of dedicated hosts, reserved or imported instances, which are none of ours.
 */
const REFUSALS: Record<string, Refusal> = {
  InsufficientInstanceCapacity: noCapacity,
  UnfulfillableCapacity: noCapacity,
  // Most often a zone that offers a type and does not take it at the moment.
  Unsupported: noCapacity,
  SpotMaxPriceTooLow: {
    rules: "placement",
    why: (launch, region) =>
      `the spot price of ${placementName(launch)} is above its on-demand price, the most that gpubox offers; AWS may have kept the request, which would start an instance later: \`aws ec2 describe-spot-instance-requests --region ${region} --filters Name=state,Values=open\` shows it, and \`aws ec2 cancel-spot-instance-requests\` cancels it`,
  },
  InsufficientFreeAddressesInSubnet: {
    rules: "zone",
    why: ({ zone }) =>
      `the subnet in ${zone} has no free address: free some, or set another as gpubox:host.subnet`,
  },
  InsufficientVolumeCapacity: { rules: "zone", why: ({ zone }) => `no capacity for disks in ${zone}` },
  VcpuLimitExceeded: accountsLimit,
  InstanceLimitExceeded: accountsLimit,
  MaxSpotInstanceCountExceeded: accountsLimit,
};

const event = z.object({
  resourcePreEvent: z
    .object({ metadata: z.object({ urn: z.string(), type: z.string(), new: z.any() }) })
    .optional(),
  diagnosticEvent: z.object({ urn: z.string().optional(), message: z.string() }).optional(),
});

/** Finds a launch that EC2 refused among what the engine did, one JSON object a line. */
export function failedLaunch(events: string): FailedLaunch | undefined {
  const all = events.split("\n").flatMap((line) => (line ? [event.parse(JSON.parse(line))] : []));
  const launch = all
    .map((each) => each.resourcePreEvent?.metadata)
    // One that is replaced is deleted first, which is an event of its own.
    .findLast((made) => made?.type === TYPE.instance);
  const said = all
    .flatMap(({ diagnosticEvent }) =>
      diagnosticEvent?.urn === launch?.urn ? [diagnosticEvent?.message] : [],
    )
    .join("\n");
  const codes = [...said.matchAll(/api error ([\w.]+)/g)].map(([, code = ""]) => code);
  const code = codes.find((each) => Object.hasOwn(REFUSALS, each));
  const { instanceType, availabilityZone: zone, instanceMarketOptions } = launch?.new?.inputs ?? {};
  if (!code || !instanceType || !zone) return undefined;
  return { instanceType, zone, spot: instanceMarketOptions?.marketType === "spot", code };
}

/** The part of `gpubox:host` that says what is tried. */
export interface Tried {
  region?: string;
  instanceTypes?: string[];
  unavailable?: string[];
}

/** What is left to try after a refusal; undefined where that is nothing. */
export function without<Host extends Tried>(
  host: Host,
  { instanceType, zone, code }: FailedLaunch,
): Host | undefined {
  const { instanceTypes = [instanceType], unavailable = [] } = host;
  const { rules } = REFUSALS[code] as Refusal;
  if (rules === "type") {
    const others = instanceTypes.filter((each) => each !== instanceType);
    return others.length > 0 ? { ...host, instanceTypes: others } : undefined;
  }
  const types = rules === "zone" ? instanceTypes : [instanceType];
  return {
    ...host,
    unavailable: [...unavailable, ...types.map((type) => placementName({ instanceType: type, zone }))],
  };
}

/** What the person is told of a refusal. */
export const refusalText = (launch: FailedLaunch, region: string): string =>
  `${(REFUSALS[launch.code] as Refusal).why(launch, region)} (${launch.code})`;

/**
 * The data volume that a run made for an instance that it then could not have: it was never attached, so it is empty. None where an
 * instance is there, or was there and is still to be replaced: its volume may be another's successor.
 *
 * @param since when the run began, in milliseconds since the epoch
 */
export function emptyVolume({ deployment }: State, since: number): StateResource | undefined {
  const { resources = [] } = deployment;
  if (resources.some(({ type }) => type === TYPE.instance || type === TYPE.volumeAttachment)) {
    return undefined;
  }
  const [volume, ...others] = resources.filter(({ type }) => type === TYPE.ebsVolume);
  // What is removed is named by its URN, which one that it has replaced has as well.
  if (others.length > 0) return undefined;
  return Date.parse(volume?.created ?? "") >= since ? volume : undefined;
}

/** Whether a stack has lost its instance to one that then could not be had. */
export function isWithoutMachine({ deployment: { resources = [] } }: State): boolean {
  const instances = resources.filter(({ type }) => type === TYPE.instance);
  return instances.length > 0 && instances.every(({ pendingReplacement }) => pendingReplacement === true);
}

/**
 * The state in which a volume goes when it is deleted, and no snapshot is made of its nothing: commands that were to do something about it,
 * such as to take one, are forgotten.
 */
export function withoutKeeping(state: State, { urn }: StateResource): State {
  const resources = state.deployment.resources
    ?.filter(({ type, dependencies = [] }) => type !== TYPE.command || !dependencies.includes(urn))
    .map((resource) =>
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
      ? `${volume.id}: removed the empty data volume of that attempt`
      : `${volume.id}: the empty data volume of that attempt could not be removed:\n${stderr}`,
  );
}

/**
 * `pulumi up` until an instance is had or nothing is left to try; every attempt is reported.
 *
 * @returns the engine's exit status
 */
export async function upWithCapacity(session: Session, args: string[]): Promise<number> {
  const began = Date.now();
  let host: Tried = rawHost(session);
  let overrides: string[] = [];
  for (let attempt = 1; ; attempt++) {
    let failed: FailedLaunch | undefined;
    const code = await runEngine(session, "up", [...args, ...overrides], (events) => {
      failed = failedLaunch(events);
    });
    if (!failed) {
      if (code !== 0 && attempt > 1) await sayWithoutMachine(session);
      return code;
    }
    const left = without(host, failed);
    const next = left ? "; trying the next choice" : "";
    say(`attempt ${attempt}: ${refusalText(failed, host.region ?? "")}${next}`);
    await dropEmptyVolume(session, began);
    if (!left) {
      await sayWithoutMachine(session);
      return code;
    }
    host = left;
    // The run's own copy of the stack's file takes it: the file itself stays as it is, and so does the next run's order.
    overrides = ["--config", `gpubox:host=${JSON.stringify(host)}`];
  }
}

/** A new machine is made once the old one is gone: where it cannot be had, there is none. */
async function sayWithoutMachine(session: Session): Promise<void> {
  if (!isWithoutMachine(await readState(session))) return;
  say(
    `stack ${session.stack} has no machine now: the old one was terminated, and no other could be created. Its data volume and its address are kept; \`${stackCommand("up", session.stack)}\` tries again`,
  );
}
