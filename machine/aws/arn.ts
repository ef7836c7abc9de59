/** What the name of something says that EC2 has made, and what follows from where it is. Pure. */
import { commandLine } from "../../text/command-line.ts";

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

/** What is wrong where the configuration has another region than a stack is in; undefined where it is the same, or the stack has nothing. */
export function regionProblem(
  stack: string,
  { is, wanted }: { is: string | undefined; wanted: string | undefined },
): string | undefined {
  if (is === undefined || is === wanted) return undefined;
  return `gpubox:host.region: stack ${stack} is in ${is}, and cannot move to ${wanted}: set ${is} again, or create another stack there with \`${commandLine("init", "-s", "NAME", "--kind", "aws")}\``;
}
