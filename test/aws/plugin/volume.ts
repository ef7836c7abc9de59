/** Volumes, and where they are plugged in. */
import { createHash } from "node:crypto";
import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  ModifyVolumeCommand,
  StopInstancesCommand,
  type VolumeType,
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
    outputs: ["arn", "createTime", "encrypted", "iops", "throughput", "type"],
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
      const answer = await calling("creating EBS Volume", "EC2", "CreateVolume", cloud.ec2.send(command));
      return answer.VolumeId ?? "";
    },
    async read(id) {
      const found = await volumeOf(cloud, id);
      return (
        found && {
          availabilityZone: found.AvailabilityZone,
          createTime: found.CreateTime?.toISOString(),
          encrypted: found.Encrypted,
          iops: found.Iops,
          size: found.Size,
          throughput: found.Throughput,
          type: found.VolumeType,
        }
      );
    },
    async update(id, { size, type, iops, throughput }, changed) {
      // finalSnapshot is for the day of the deletion, and EC2 knows nothing of it.
      if (changed.every((path) => path === "finalSnapshot")) return;
      const command = new ModifyVolumeCommand({
        VolumeId: id,
        Size: size,
        VolumeType: type,
        Iops: iops,
        Throughput: throughput,
      });
      await calling(`modifying EBS Volume (${id})`, "EC2", "ModifyVolume", cloud.ec2.send(command));
    },
    async delete(id, { finalSnapshot, tagsAll }) {
      if (finalSnapshot) {
        const command = new CreateSnapshotCommand({ VolumeId: id, ...tagged("snapshot", tagsAll as Tags) });
        await found(cloud.ec2.send(command));
      }
      const command = new DeleteVolumeCommand({ VolumeId: id });
      await calling(`deleting EBS Volume (${id})`, "EC2", "DeleteVolume", found(cloud.ec2.send(command)));
    },
  });
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
      const command = new AttachVolumeCommand({
        Device: deviceName,
        InstanceId: instanceId,
        VolumeId: volumeId,
      });
      await calling(
        `attaching EBS Volume (${volumeId}) to EC2 Instance (${instanceId})`,
        "EC2",
        "AttachVolume",
        cloud.ec2.send(command),
      );
      const id = createHash("sha256").update(`${deviceName}-${instanceId}-${volumeId}-`).digest("hex");
      return `vai-${id.slice(0, 10)}`;
    },
    async read(_, { instanceId, volumeId }) {
      const attached = (await volumeOf(cloud, String(volumeId)))?.Attachments ?? [];
      return attached.some((each) => each.InstanceId === instanceId) ? {} : undefined;
    },
    async delete(_, { deviceName, instanceId, volumeId, stopInstanceBeforeDetaching }) {
      const ids = { InstanceId: String(instanceId), VolumeId: String(volumeId) };
      const attached = (await volumeOf(cloud, ids.VolumeId))?.Attachments ?? [];
      if (!attached.some((each) => each.InstanceId === instanceId)) return;
      if (stopInstanceBeforeDetaching)
        await found(cloud.ec2.send(new StopInstancesCommand({ InstanceIds: [ids.InstanceId] })));
      const command = new DetachVolumeCommand({ ...ids, Device: String(deviceName) });
      await calling(
        `detaching EBS Volume (${volumeId}) from EC2 Instance (${instanceId})`,
        "EC2",
        "DetachVolume",
        found(cloud.ec2.send(command)),
      );
    },
  });
}
