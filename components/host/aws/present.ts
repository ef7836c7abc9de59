/** What a stack has in the account already: its instance and its data volume. */

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { AwsHostArgs } from "../../../config/host/aws.ts";
import { UserError } from "../../../errors.ts";
import type { Placement } from "../../../machine/aws/capacity.ts";
import { ON_SPOT, THERE } from "../../../machine/aws/instances.ts";
import type { Known } from "../../../machine/aws/known.ts";
import { inWords, whyUnanswered } from "../../../machine/aws/unanswered.ts";
import {
  makesVolume,
  secondVolumeProblem,
  type TaggedVolume,
  taggedVolumes,
} from "../../../machine/aws/volumes.ts";
import { stackName } from "../../../machine/owner.ts";
import { ask, refuse } from "./ask.ts";

/** An instance of the stack, running or not. */
export interface Existing extends Placement {
  id: string;
  ami: string;
  /** Whether it is spare capacity. */
  spot: boolean;
  /** GB of its system disk. */
  rootSize: number;
}

/** A data volume that is there. */
export interface Volume {
  id: string;
  zone: string;
  /** GB. */
  size: number;
}

/** What is looked for, and how. */
export interface PresentArgs {
  host: AwsHostArgs;
  /** What the stack has by its state. */
  known: Known;
  /** `<project>/<stack>`: the tag on everything the stack made. */
  stack: string;
  provider: aws.Provider;
}

/** The stack's instance, once there is one. @throws UserError where AWS does not answer */
export async function findInstance({ known, stack, provider }: PresentArgs): Promise<Existing | undefined> {
  if (known.instance === undefined) return undefined;
  const question = `what has become of ${known.instance}, the machine of stack ${stackName(stack)}`;
  const mine = { name: "instance-id", values: [known.instance] };
  const list = (filters: { name: string; values: string[] }[]) =>
    ask({ question }, aws.ec2.getInstances({ filters, instanceStateNames: THERE }, { provider }));
  const [all, spot] = await Promise.all([list([mine]), list([mine, ON_SPOT])]);
  const [id] = all.ids;
  if (id === undefined) return undefined;
  const found = await ask({ question }, aws.ec2.getInstance({ instanceId: id }, { provider }));
  return {
    id,
    ami: found.ami,
    instanceType: found.instanceType,
    zone: found.availabilityZone,
    spot: spot.ids.includes(id),
    rootSize: found.rootBlockDevices[0]?.volumeSize ?? 0,
  };
}

/** The data volume that is there already: an instance can only be in its zone. @throws UserError where it cannot serve */
export async function findVolume(args: PresentArgs): Promise<Volume | undefined> {
  const { host, known, stack } = args;
  const { dataVolume } = host;
  if ("id" in dataVolume) return await findAdopted(args, dataVolume.id);
  if (makesVolume(undefined, known)) await refuseSecondVolume(args);
  if (known.volume === undefined) return undefined;
  const volume = await findOwn(args, known.volume);
  if (volume && dataVolume.size < volume.size) {
    refuse(
      `gpubox:host.dataVolume.size: ${volume.id}, which has the data of stack ${stackName(stack)}, has ${volume.size} GB, and a volume cannot shrink: set ${volume.size} or more`,
    );
  }
  return volume;
}

async function getVolume(
  id: string,
  { host, provider }: PresentArgs,
): Promise<Volume & { encrypted: boolean }> {
  const volume = await ask(
    {
      key: "dataVolume",
      question: `what ${id} is`,
      absent: `gpubox:host.dataVolume.id: ${id} does not exist in ${host.region}`,
    },
    aws.ebs.getVolume({ filters: [{ name: "volume-id", values: [id] }] }, { provider }),
  );
  return { id, zone: volume.availabilityZone, size: volume.size, encrypted: volume.encrypted };
}

async function findAdopted(args: PresentArgs, id: string): Promise<Volume> {
  const volume = await getVolume(id, args);
  if (!volume.encrypted) pulumi.log.warn(`${id} is not encrypted; a copy made from a snapshot of it can be`);
  return volume;
}

/** Undefined where somebody has deleted it; the engine notices when it looks. */
async function findOwn({ provider }: PresentArgs, id: string): Promise<Volume | undefined> {
  const look = aws.ebs.getVolume({ filters: [{ name: "volume-id", values: [id] }] }, { provider });
  const volume = await look.catch((error) => {
    const why = whyUnanswered(error);
    if (why.kind === "absent") return undefined;
    return refuse(`AWS does not say where ${id} is, the data volume: ${inWords(why)}`);
  });
  return volume && { id, zone: volume.availabilityZone, size: volume.size };
}

/** @throws UserError where the stack's data is on a volume that it would be given another beside, or that is another's */
async function refuseSecondVolume(args: PresentArgs): Promise<void> {
  const { stack, host, known, provider } = args;
  const { ids } = await ask(
    { question: `which data volumes carry the tag of stack ${stackName(stack)}` },
    aws.ebs.getEbsVolumes({ filters: taggedVolumes(stack) }, { provider }),
  );
  const volumes = await Promise.all(ids.map((id) => getTagged(id, args)));
  const problem = secondVolumeProblem({ stack, region: host.region, known }, volumes);
  if (problem) throw new UserError(problem);
}

/** The provider's look-up of a volume does not say which machine has it. */
async function getTagged(id: string, args: PresentArgs): Promise<TaggedVolume> {
  const filters = [{ name: "block-device-mapping.volume-id", values: [id] }];
  const [volume, machines] = await Promise.all([
    getVolume(id, args),
    ask(
      { question: `which machine has ${id}` },
      aws.ec2.getInstances(
        { filters, instanceStateNames: [...THERE, "shutting-down"] },
        { provider: args.provider },
      ),
    ),
  ]);
  return { ...volume, usedBy: machines.ids };
}
