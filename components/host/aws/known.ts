/** What the stack that is being deployed has on AWS, as the engine says it. */

import { setTimeout as sleep } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { type Known, type KnownResource, knownOf } from "../../../machine/aws/known.ts";

/** How often the state is read, and how long it is left alone in between, in milliseconds. */
const ATTEMPTS = 10;
const PAUSE = 200;

/** What the stack that is being deployed has. Best before its first resource: the engine writes the state while it makes them. */
export async function readKnown(): Promise<Known> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", { stackName });
      return knownOf(Object.values((answer as { outputs: Record<string, KnownResource> }).outputs));
    } catch (error) {
      // It was just being written.
      if (!/failed to load checkpoint/.test(String(error)) || attempt === ATTEMPTS) throw error;
      await sleep(PAUSE);
    }
  }
}
