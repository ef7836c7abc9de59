/** The snapshots that a data volume has left. */
import { DescribeSnapshotsCommand, type EC2Client } from "@aws-sdk/client-ec2";
import { LAST_SNAPSHOT, ROLE_TAG } from "./tags.ts";

/** The role of those that this version leaves. */
export const OURS = [LAST_SNAPSHOT];
/** Earlier versions have left one with the role of the volume, as a person's own may have, which copies its tags. */
export const ANY = [LAST_SNAPSHOT, "data"];

/** Ids of the snapshots of a volume that have one of some roles. @throws where AWS does not answer */
export async function lastSnapshots(client: EC2Client, volume: string, roles: string[]): Promise<string[]> {
  const Filters = [
    { Name: "volume-id", Values: [volume] },
    { Name: `tag:${ROLE_TAG}`, Values: roles },
  ];
  const { Snapshots = [] } = await client.send(new DescribeSnapshotsCommand({ Filters, OwnerIds: ["self"] }));
  return Snapshots.flatMap(({ SnapshotId }) => SnapshotId ?? []);
}
