/** The data volume of a stack whose host is of kind `aws`: what is said of one that stays, and of one that goes. */

import {
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  type EC2Client,
  type Volume,
} from "@aws-sdk/client-ec2";
import { UserError } from "../../../errors.ts";
import { LAST_SNAPSHOT, ROLE_TAG, STACK_TAG } from "../../../machine/aws/tags.ts";
import { TYPE } from "../../../machine/resource-types.ts";
import { commandLine } from "../../../text/command-line.ts";
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
  const { region, dataVolume } = rawHost(session);
  if (dataVolume?.id !== undefined || ofType(state, [TYPE.ebsVolume]).length > 0) return;
  const Filters = [
    { Name: `tag:${STACK_TAG}`, Values: [session.stackId] },
    { Name: `tag:${ROLE_TAG}`, Values: ["data"] },
    { Name: "status", Values: ["creating", "available", "in-use"] },
  ];
  const { Volumes = [] } = await clientOf(session, state)
    .send(new DescribeVolumesCommand({ Filters }))
    .catch((error) => {
      throw unanswered("data volumes that were kept", error);
    });
  if (Volumes.length === 0) return;
  const text = ({ VolumeId, Size, AvailabilityZone }: Volume) =>
    `${VolumeId} (${Size} GB, ${AvailabilityZone})`;
  const used = Volumes.filter(({ State }) => State === "in-use");
  if (used.length > 0) {
    const by = used.flatMap(({ Attachments = [] }) => Attachments.map(({ InstanceId }) => InstanceId));
    throw new UserError(
      `${used.map(text).join(", ")} has the tag of stack ${session.stackId} and is in use by ${by.join(", ")}, which is not in this stack's state. It belongs to another clone or another user of this account: create your stack under another name with \`${commandLine("init", "-s", "NAME", "--kind", "aws")}\`. Nothing was created`,
    );
  }
  const ids = Volumes.map(({ VolumeId }) => VolumeId);
  throw new UserError(
    [
      `the data of stack ${session.stack} is still there: ${Volumes.map(text).join(", ")}. Nothing was created.`,
      ...ids.map((id) => `  to use it, below gpubox:host:   dataVolume: {id: ${id}}`),
      "  to start afresh and keep it for later:  " +
        `aws ec2 delete-tags --region ${region} --tags Key=${ROLE_TAG} --resources ${ids.join(" ")}`,
      ...ids.map(
        (id) =>
          `  to delete it with everything on it:   aws ec2 delete-volume --region ${region} --volume-id ${id}`,
      ),
    ].join("\n"),
  );
}

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
    lastSnapshots(client, volume),
  ]);
  return staysText(stack, region, isThere ? { volume: volume.id } : { snapshots });
}

async function lastSnapshots(client: EC2Client, { id, goes }: DataVolume): Promise<string[]> {
  if (!goes) return [];
  const Filters = [
    { Name: "volume-id", Values: [id] },
    // Earlier versions have left one with the role of the volume.
    { Name: `tag:${ROLE_TAG}`, Values: [LAST_SNAPSHOT, "data"] },
  ];
  const asked = client.send(new DescribeSnapshotsCommand({ Filters, OwnerIds: ["self"] }));
  const { Snapshots = [] } = await asked.catch(() => ({ Snapshots: [] }));
  return Snapshots.flatMap(({ SnapshotId }) => SnapshotId ?? []);
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
