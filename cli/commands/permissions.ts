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
      ? `what ${needs.stack} takes as it is configured, in ${needs.region}; a change of \`access\`, \`spot\`, \`data\` or \`dataVolume.keep\` may take more`
      : `what any stack on AWS takes; \`${commandLine("permissions", "-s", "NAME")}\` says it for one`,
  );
  // Always with the stack's name: without one it is another policy.
  const again = ["npm", "run", "--silent", "permissions", ...(isNamed ? ["--", "-s", stack] : [])];
  say(
    `to make it one: aws iam create-policy --policy-name gpubox --policy-document "$(${shellLine(again)})"`,
  );
  return 0;
}

function needsOf(root: string, stack: string): StackNeeds {
  return needsIn(readConfig(root, stack), stackId(root, stack));
}
