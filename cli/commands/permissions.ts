/** `npm run permissions`: the IAM policy that whoever runs gpubox on AWS needs. */

import { readConfig } from "../../config/load.ts";
import { stackId } from "../../config/stack-file.ts";
import { needsIn, policyFor, type StackNeeds } from "../../machine/aws/calls.ts";
import { commandLine } from "../../text/command-line.ts";
import { shellLine } from "../../text/shell.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { say } from "../ui/say.ts";

export async function permissions({ root }: Context, { stack, isNamed }: Args): Promise<number> {
  const needs = isNamed ? needsOf(root, stack) : undefined;
  process.stdout.write(`${JSON.stringify(policyFor(needs), null, 2)}\n`);
  say(
    needs
      ? `the permissions that ${needs.stack} needs as configured, in ${needs.region}; a change of \`access\`, \`spot\`, \`data\` or \`dataVolume.keep\` may need more`
      : `the permissions that any stack on AWS needs; \`${commandLine("permissions", "-s", "NAME")}\` prints those of one stack`,
  );
  // Always with the stack's name: without one it is another policy.
  const again = ["npm", "run", "--silent", "permissions", ...(isNamed ? ["--", "-s", stack] : [])];
  say(
    `to create a policy from it: aws iam create-policy --policy-name gpubox --policy-document "$(${shellLine(again)})"`,
  );
  return 0;
}

function needsOf(root: string, stack: string): StackNeeds {
  return needsIn(readConfig(root, stack), stackId(root, stack));
}
