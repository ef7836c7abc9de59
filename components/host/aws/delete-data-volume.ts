/**
 * Deletes a data volume, once a last snapshot of it is whole; run when its stack goes. One that is still at a machine, as a stack goes on
 * with it by its id, stays.
 *
 * A snapshot that an earlier, interrupted run has taken is no excuse for none: the volume may have been worked on since. The new one holds
 * only what has changed, and the earlier go once it is whole.
 *
 * Environment: REGION, PROFILE (may be empty), VOLUME (id), TAGS (of the snapshot, as a JSON object).
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  CreateSnapshotCommand,
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
} from "@aws-sdk/client-ec2";
import { lastSnapshots, OURS } from "../../../machine/aws/snapshots.ts";
import { LAST_SNAPSHOT, ROLE_TAG } from "../../../machine/aws/tags.ts";

/** How often AWS is asked how far it is, in milliseconds. */
const PAUSE = 10_000;

const { REGION: region, PROFILE: profile, VOLUME: volume = "", TAGS: tags = "{}" } = process.env;
const client = new EC2Client({ region, ...(profile ? { profile } : {}) });

/** Says something where the person sees it. */
const say = (text: string) => process.stderr.write(`${volume}: ${text}\n`);

async function machinesOf(): Promise<string[]> {
  const { Volumes } = await client.send(new DescribeVolumesCommand({ VolumeIds: [volume] }));
  return (Volumes?.[0]?.Attachments ?? []).flatMap(({ InstanceId }) => InstanceId ?? []);
}

async function takeSnapshot(): Promise<string> {
  const all = Object.entries({ ...JSON.parse(tags), [ROLE_TAG]: LAST_SNAPSHOT });
  const Tags = all.map(([Key, Value]) => ({ Key, Value: String(Value) }));
  const { SnapshotId = "" } = await client.send(
    new CreateSnapshotCommand({
      VolumeId: volume,
      Description: "gpubox: the last of a data volume",
      TagSpecifications: [{ ResourceType: "snapshot", Tags }],
    }),
  );
  return SnapshotId;
}

/** Without an end: a large volume takes hours, and whoever cannot wait may stop this and run it again. @throws where it fails */
async function untilWhole(id: string): Promise<void> {
  for (let told = ""; ; await sleep(PAUSE)) {
    const { Snapshots } = await client.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
    const { State, StateMessage, Progress = "" } = Snapshots?.[0] ?? {};
    if (State === "completed") return;
    if (State === "error") throw new Error(`snapshot ${id} failed: ${StateMessage}`);
    if (Progress !== told) say(`waiting for its last snapshot ${id}, ${Progress || "0%"}`);
    told = Progress;
  }
}

async function remove(): Promise<void> {
  const machines = await machinesOf();
  if (machines.length > 0) {
    say(`it is in use by ${machines.join(", ")}, and stays`);
    return;
  }
  const earlier = await lastSnapshots(client, volume, OURS);
  const id = await takeSnapshot();
  await untilWhole(id);
  await client.send(new DeleteVolumeCommand({ VolumeId: volume }));
  for (const SnapshotId of earlier) await client.send(new DeleteSnapshotCommand({ SnapshotId }));
  say(`deleted; its last snapshot is ${id}`);
}

try {
  await remove();
} catch (error) {
  const { name, message } = error as Error;
  // What somebody else has deleted leaves nothing to snapshot.
  if (name !== "InvalidVolume.NotFound") {
    say(`${name}: ${message}; the volume stays`);
    process.exitCode = 1;
  }
}
