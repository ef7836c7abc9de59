/** What the name of something says that EC2 has made. Pure. */

/** `arn:aws:ec2:us-east-1:123456789012:instance/i-1`, in its parts. */
export interface Ec2Arn {
  region: string;
  account: string;
  id: string;
}

/** Undefined for what is no ARN of EC2's. */
export function ec2Arn(text: unknown): Ec2Arn | undefined {
  const [, region, account, id] = /^arn:[\w-]+:ec2:([\w-]+):(\d+):[\w-]+\/(.+)$/.exec(String(text)) ?? [];
  return region && account && id ? { region, account, id } : undefined;
}
