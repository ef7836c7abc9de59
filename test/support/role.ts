import type { Instance } from "@aws-sdk/client-ec2";
import { GetInstanceProfileCommand, type IAMClient } from "@aws-sdk/client-iam";

/** Name of the role that an instance has, by its profile; undefined where it has none. */
export async function roleOf(iam: IAMClient, instance: Instance | undefined): Promise<string | undefined> {
  const InstanceProfileName = instance?.IamInstanceProfile?.Arn?.split("/").at(-1);
  if (!InstanceProfileName) return undefined;
  const { InstanceProfile } = await iam.send(new GetInstanceProfileCommand({ InstanceProfileName }));
  return InstanceProfile?.Roles?.[0]?.RoleName;
}
