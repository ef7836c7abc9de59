/** Volumes, and where they are plugged in. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  ModifyVolumeCommand,
  StopInstancesCommand,
  type VolumeType,
  waitUntilInstanceStopped,
} from "@aws-sdk/client-ec2";
import { z } from "zod";
import type { Resource } from "../../../offline/plugins/shared/provider.ts";
import type { Cloud } from "./cloud.ts";
import { calling, found } from "./errors.ts";
import { tagged } from "./network.ts";
import { awsResource, retagEc2, type Tags } from "./resource.ts";

interface VolumeInputs {
  availabilityZone: string;
  size: number;
  type?: VolumeType;
  encrypted?: boolean;
  iops?: number;
  throughput?: number;
  finalSnapshot?: boolean;
}

/** The volume, undefined when there is none of the id. */
async function volumeOf(cloud: Cloud, id: string) {
  const answer = await found(cloud.ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] })));
  return answer?.Volumes?.[0];
}

export function volume(cloud: Cloud): Resource {
  return awsResource<VolumeInputs>(cloud, {
    inputs: {
      availabilityZone: z.string(),
      size: z.number(),
      type: z.string().optional(),
      encrypted: z.boolean().optional(),
      iops: z.number().optional(),
      throughput: z.number().optional(),
      finalSnapshot: z.boolean().optional(),
    },
    outputs: ["arn", "createTime", "encrypted", "iops", "size", "throughput", "type"],
    replaces: (path) => ["availabilityZone", "encrypted"].includes(path),
    retag: retagEc2(cloud),
    async create({ availabilityZone, size, type, encrypted, iops, throughput }, tags) {
      const command = new CreateVolumeCommand({
        AvailabilityZone: availabilityZone,
        Size: size,
        VolumeType: type,
        Encrypted: encrypted,
        Iops: iops,
        Throughput: throughput,
        ...tagged("volume", tags),
      });
      const answer = await calling("creating EBS Volume", cloud.ec2.send(command));
      return answer.VolumeId ?? "";
    },
    async read(id) {
      const volume = await calling(`reading EBS Volume (${id})`, volumeOf(cloud, id));
      return (
        volume && {
          arn: cloud.arn("volume", id),
          availabilityZone: volume.AvailabilityZone,
          createTime: volume.CreateTime?.toISOString(),
          encrypted: volume.Encrypted,
          iops: volume.Iops,
          size: volume.Size,
          throughput: volume.Throughput,
          type: volume.VolumeType,
        }
      );
    },
    async update(id, { size, type, iops }, changed, state) {
      const throughput = Number(state.throughput ?? 0);
      const command = new ModifyVolumeCommand({
        VolumeId: id,
        ...(changed.includes("iops") && { Iops: iops }),
        ...(changed.includes("size") && { Size: size }),
        // Always, and be it `finalSnapshot` alone that changed: EC2 counts it as a modification.
        ...(throughput > 0 && (type ?? state.type) === "gp3" && { Throughput: throughput }),
        ...(changed.includes("type") && { VolumeType: type }),
      });
      await calling(`modifying EBS Volume (${id})`, cloud.ec2.send(command));
      // It waits for the volume to be there, which it is all the time, not for the modification.
      await calling(`waiting for EBS Volume (${id}) update`, volumeOf(cloud, id));
    },
    async delete(id, { finalSnapshot, tagsAll }, { timeout }) {
      if (finalSnapshot) await takeSnapshot(cloud, id, tagsAll as Tags, timeout || 600);
      const command = new DeleteVolumeCommand({ VolumeId: id });
      await calling(`deleting EBS Volume (${id})`, found(cloud.ec2.send(command)));
    },
  });
}

/** Takes a snapshot and waits for it to be complete, for so many seconds. */
async function takeSnapshot(cloud: Cloud, id: string, tags: Tags, timeout: number): Promise<void> {
  const command = new CreateSnapshotCommand({ VolumeId: id, ...tagged("snapshot", tags) });
  const creating = `creating EBS Snapshot (${id})`;
  const answer = await calling(creating, found(cloud.ec2.send(command)));
  if (!answer) return;
  const waiting = `waiting for EBS Snapshot (${answer.SnapshotId}) create`;
  const end = Date.now() + timeout * 1000;
  for (;;) {
    const question = new DescribeSnapshotsCommand({ SnapshotIds: [answer.SnapshotId ?? ""] });
    const { Snapshots } = await calling(waiting, cloud.ec2.send(question));
    const state = Snapshots?.[0]?.State;
    if (state === "completed") return;
    const rest = end - Date.now();
    if (rest <= 0)
      throw new Error(
        `${waiting}: timeout while waiting for state to become 'completed' (last state: '${state}', timeout: ${duration(timeout)})`,
      );
    await sleep(Math.min(rest, 500));
  }
}

/** Seconds as Go writes them: "10m0s". */
function duration(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const parts = [hours > 0 && `${hours}h`, (hours > 0 || minutes > 0) && `${minutes}m`, `${seconds % 60}s`];
  return parts.filter(Boolean).join("");
}

interface AttachmentInputs {
  deviceName: string;
  instanceId: string;
  volumeId: string;
  stopInstanceBeforeDetaching?: boolean;
}

export function volumeAttachment(cloud: Cloud): Resource {
  return awsResource<AttachmentInputs>(cloud, {
    inputs: {
      deviceName: z.string(),
      instanceId: z.string(),
      volumeId: z.string(),
      stopInstanceBeforeDetaching: z.boolean().optional(),
    },
    outputs: [],
    replaces: (path) => path !== "stopInstanceBeforeDetaching",
    async create({ deviceName, instanceId, volumeId }) {
      const what = `EBS Volume (${volumeId})`;
      const attached = await attachmentOf(cloud, { deviceName, instanceId, volumeId });
      if (!attached) {
        const ids = { InstanceIds: [instanceId] };
        const waiting = `waiting for EC2 Instance (${instanceId}) to be ready`;
        await calling(waiting, cloud.ec2.send(new DescribeInstancesCommand(ids)));
        const command = new AttachVolumeCommand({
          Device: deviceName,
          InstanceId: instanceId,
          VolumeId: volumeId,
        });
        await calling(`attaching ${what} to EC2 Instance (${instanceId})`, cloud.ec2.send(command));
      }
      const id = createHash("sha256").update(`${deviceName}-${instanceId}-${volumeId}-`).digest("hex");
      return `vai-${id.slice(0, 10)}`;
    },
    async read(_, state) {
      const reading = `reading EBS Volume (${state.volumeId}) Attachment (${state.instanceId})`;
      const attached = await calling(reading, attachmentOf(cloud, state as unknown as AttachmentInputs));
      return attached ? {} : undefined;
    },
    async delete(_, state) {
      const { deviceName, instanceId, volumeId, stopInstanceBeforeDetaching } =
        state as unknown as AttachmentInputs;
      const deleting = `deleting EBS Volume (${volumeId}) Attachment (${instanceId})`;
      // The official plugin finds out by the answers: where the volume is "available", it is detached.
      if (!(await attachmentOf(cloud, { deviceName, instanceId, volumeId }))) return;
      if (stopInstanceBeforeDetaching) {
        const ids = { InstanceIds: [instanceId] };
        const stopping = `${deleting}: stopping EC2 Instance (${instanceId})`;
        await calling(stopping, cloud.ec2.send(new StopInstancesCommand(ids)));
        const waiter = { client: cloud.ec2, maxWaitTime: 600, minDelay: 1, maxDelay: 3 };
        await calling(
          `${deleting}: waiting for EC2 Instance (${instanceId}) stop`,
          waitUntilInstanceStopped(waiter, ids),
        );
      }
      const command = new DetachVolumeCommand({
        Device: deviceName,
        InstanceId: instanceId,
        VolumeId: volumeId,
      });
      await calling(deleting, found(cloud.ec2.send(command)));
    },
  });
}

async function attachmentOf(cloud: Cloud, { instanceId, volumeId }: AttachmentInputs) {
  const attached = (await volumeOf(cloud, volumeId))?.Attachments ?? [];
  return attached.find(({ InstanceId }) => InstanceId === instanceId);
}
