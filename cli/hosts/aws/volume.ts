/** The data volume of a stack whose host is of kind `aws`: what is said of one that stays, and of one that goes. */

import { DescribeVolumesCommand, type Volume } from "@aws-sdk/client-ec2";
import { UserError } from "../../../errors.ts";
import { knownOf } from "../../../machine/aws/known.ts";
import { ANY, lastSnapshots } from "../../../machine/aws/snapshots.ts";
import { makesVolume, secondVolumeProblem, taggedVolumes } from "../../../machine/aws/volumes.ts";
import { TYPE } from "../../../machine/resource-types.ts";
import type { State } from "../../pulumi/checkpoint.ts";
import { removesData } from "../../pulumi/consent.ts";
import type { Session } from "../../pulumi/session.ts";
import { clientOf, ofType, rawHost, settingsOf, unanswered } from "./account.ts";

/**
 * Refuses to make a data volume beside one that an earlier destroy kept: that costs twice, and the files are on the other one.
 *
 * @throws UserError naming both ways out
 */
export async function refuseSecondVolume(session: Session, state: State): Promise<void> {
  const { region = "", dataVolume } = rawHost(session);
  const known = knownOf(state.deployment.resources ?? []);
  if (!makesVolume(dataVolume?.id, known)) return;
  const Filters = taggedVolumes(session.stackId).map(({ name, values }) => ({ Name: name, Values: values }));
  const { Volumes = [] } = await clientOf(session, state)
    .send(new DescribeVolumesCommand({ Filters }))
    .catch((error) => {
      throw unanswered("data volumes that were kept", error);
    });
  const problem = secondVolumeProblem({ stack: session.stackId, region, known }, Volumes.map(tagged));
  if (problem) throw new UserError(problem);
}

const tagged = ({ VolumeId = "", AvailabilityZone = "", Size = 0, Attachments = [] }: Volume) => ({
  id: VolumeId,
  zone: AvailabilityZone,
  size: Size,
  usedBy: Attachments.flatMap(({ InstanceId }) => InstanceId ?? []),
});

/** The data volume of a stack, by its state. */
export interface DataVolume {
  id: string;
  /** Whether it goes with the stack. */
  goes: boolean;
}

/** The volume that a stack has made, or one that it has at its machine; undefined where it has none. Pure. */
export function dataVolumeOf(state: State): DataVolume | undefined {
  const [own] = ofType(state, [TYPE.ebsVolume]);
  const [attachment] = ofType(state, [TYPE.volumeAttachment]);
  const id = own?.id ?? attachment?.inputs?.volumeId;
  return typeof id === "string"
    ? { id, goes: (state.deployment.resources ?? []).some(removesData) }
    : undefined;
}

/** What the person is told to be there still when a stack is torn down, as AWS has it then. */
export async function whatStaysOnAws(
  session: Session,
  state: State,
  volume: DataVolume | undefined,
): Promise<string> {
  const { stack } = session;
  const client = clientOf(session, state);
  const region = settingsOf(session, state).region ?? "";
  if (!volume) return staysText(stack, region, {});
  const [isThere, snapshots] = await Promise.all([
    client.send(new DescribeVolumesCommand({ VolumeIds: [volume.id] })).then(
      ({ Volumes = [] }) => Volumes.length > 0,
      (error) => error.name !== "InvalidVolume.NotFound",
    ),
    volume.goes ? lastSnapshots(client, volume.id, ANY).catch(() => []) : [],
  ]);
  return staysText(stack, region, isThere ? { volume: volume.id } : { snapshots });
}

/** In words. Pure. */
export function staysText(
  stack: string,
  region: string,
  { volume, snapshots = [] }: { volume?: string; snapshots?: string[] },
): string {
  const gone = `stack ${stack} is torn down.`;
  if (volume !== undefined) {
    return [
      `${gone} What stays, and costs money: the data volume ${volume} with your files.`,
      `  to use it, below gpubox:host:  dataVolume: {id: ${volume}}`,
      `  to delete it with everything on it:   aws ec2 delete-volume --region ${region} --volume-id ${volume}`,
    ].join("\n");
  }
  if (snapshots.length === 0) return gone;
  const deletions = snapshots.map((id) => `aws ec2 delete-snapshot --region ${region} --snapshot-id ${id}`);
  return [
    `${gone} What stays, and costs money: ${snapshots.join(", ")}, the last snapshot of the data volume.`,
    `  to restore its files:  aws ec2 create-volume --region ${region} --availability-zone ${region}a --volume-type gp3 --encrypted --snapshot-id ${snapshots[0]}, and its id as gpubox:host.dataVolume.id`,
    ...deletions.map((line) => `  to delete it with everything on it:  ${line}`),
  ].join("\n");
}
