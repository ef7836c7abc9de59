/** `npm run permissions`: the IAM policy that whoever runs gpubox on AWS needs. */

import type { Config } from "../../config/schema.ts";
import { stackLabel } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { policyFor, type StackNeeds } from "../../machine/aws/calls.ts";
import { s3Prefixes } from "../../machine/aws/permissions.ts";
import { npmLine, shellLine } from "../../text/shell.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { say } from "../ui/say.ts";

export async function permissions({ root }: Context, { stack, isNamed }: Args): Promise<number> {
  const needs = isNamed ? await needsOf(root, stack) : undefined;
  process.stdout.write(`${JSON.stringify(policyFor(needs), null, 2)}\n`);
  say(
    needs
      ? `what ${needs.stack} takes as it is configured, in ${needs.region}; a change of \`access\`, \`spot\`, \`data\` or \`dataVolume.keep\` may take more`
      : `what any stack on AWS takes; \`${npmLine("permissions", "-s", "NAME")}\` says it for one`,
  );
  // Always with the stack's name: without one it is another policy.
  const again = ["npm", "run", "--silent", "permissions", ...(isNamed ? ["--", "-s", stack] : [])];
  say(
    `to make it one: aws iam create-policy --policy-name gpubox --policy-document "$(${shellLine(again)})"`,
  );
  return 0;
}

async function needsOf(root: string, stack: string): Promise<StackNeeds> {
  // Loads the schema.
  const { readConfig } = await import("../../config/load.ts");
  return needsIn(readConfig(root, stack), stackLabel(root, stack));
}

/** What a stack's permissions depend on, from its configuration. @throws UserError where it is not on AWS */
export function needsIn({ host, data }: Pick<Config, "host" | "data">, stack: string): StackNeeds {
  if (host.kind !== "aws")
    throw new UserError(`gpubox:host: ${stack} is of kind ${host.kind}, and asks nothing of AWS`);
  const { region, access, spot, ami, dataVolume } = host;
  return {
    stack,
    region,
    access,
    spot,
    ami,
    s3: s3Prefixes(data.flatMap(({ url }) => url)).length > 0,
    leavesSnapshot: "keep" in dataVolume && !dataVolume.keep,
  };
}
