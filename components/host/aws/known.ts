/** What the stack has on AWS by its state, as the program has it: tags alone do not tell it from another stack of the same name. */

import { setTimeout as sleep } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { ec2Arn } from "../../../machine/aws/arn.ts";
import { TYPE } from "../../../machine/resource-types.ts";

/** What is known; nothing of a stack that is new. */
export interface Known {
  /** Id of its instance. */
  instance?: string;
  /** Id of its data volume, where it has made that itself. */
  volume?: string;
  /** Where they are. */
  region?: string;
}

/** The resources of a stack, by URN, as the engine says them. */
type Resources = Record<string, { type: string; outputs?: Record<string, unknown> }>;

/** Reads it off the ARNs. Pure. */
export function knownOf(resources: Resources): Known {
  const arnOf = (type: string) =>
    ec2Arn(Object.values(resources).find((each) => each.type === type)?.outputs?.arn);
  const instance = arnOf(TYPE.instance);
  const volume = arnOf(TYPE.ebsVolume);
  const region = (instance ?? volume)?.region;
  return {
    ...(instance && { instance: instance.id }),
    ...(volume && { volume: volume.id }),
    ...(region && { region }),
  };
}

/** How often the state is read, and how long it is left alone in between, in milliseconds. */
const ATTEMPTS = 10;
const PAUSE = 200;

/** What the stack that is being deployed has. Best before its first resource: the engine writes the state while it makes them. */
export async function readKnown(): Promise<Known> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", { stackName });
      return knownOf((answer as { outputs: Resources }).outputs);
    } catch (error) {
      // It was just being written.
      if (!/failed to load checkpoint/.test(String(error)) || attempt === ATTEMPTS) throw error;
      await sleep(PAUSE);
    }
  }
}
