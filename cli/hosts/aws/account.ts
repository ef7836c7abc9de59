/** Where a stack whose host is of kind `aws` is, and as whom AWS is asked about it. */

import { EC2Client } from "@aws-sdk/client-ec2";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { readStackFile } from "../../../config/stack-file.ts";
import { UserError } from "../../../errors.ts";
import { regionProblem } from "../../../machine/aws/arn.ts";
import { placeOf } from "../../../machine/aws/known.ts";
import { inWords, whyUnanswered } from "../../../machine/aws/unanswered.ts";
import type { State, StateResource } from "../../pulumi/checkpoint.ts";
import type { Session } from "../../pulumi/session.ts";
import type { StackRef } from "../host.ts";

/** The part of `gpubox:host` that is read here, as the stack's file has it; the program checks it. */
export interface RawHost {
  region?: string;
  profile?: string;
  spot?: boolean;
  unavailable?: string[];
  dataVolume?: { id?: string };
}

export function rawHost({ context, stack }: StackRef): RawHost {
  return (readStackFile(context.root, stack).raw.host ?? {}) as RawHost;
}

/** The resources of some types in a state. */
export const ofType = (state: State, types: string[]): StateResource[] =>
  (state.deployment.resources ?? []).filter(({ type }) => types.includes(type));

/** Where a stack is, and whose account that is, by its state; undefined where it has nothing. */
const placeIn = (state: State) => placeOf(state.deployment.resources ?? []);

/** What a client of AWS's is made with. */
export function settingsOf(stack: StackRef, state: State) {
  const { region, profile } = rawHost(stack);
  return { region: placeIn(state)?.region ?? region, ...(profile ? { profile } : {}) };
}

export const clientOf = (session: Session, state: State): EC2Client =>
  new EC2Client(settingsOf(session, state));

/** @throws UserError where the stack is in another account than the credentials are of, in which all of it would seem to be gone */
export async function requireOwnAccount(session: StackRef, state: State): Promise<void> {
  const place = placeIn(state);
  if (!place) return;
  const { Account, Arn } = await new STSClient(settingsOf(session, state))
    .send(new GetCallerIdentityCommand({}))
    .catch((error) => {
      throw unanswered("who you are", error);
    });
  if (Account === place.account) return;
  throw new UserError(
    `stack ${session.stack} is in account ${place.account}, but your credentials are ${Arn}, of account ${Account}: set the right profile as gpubox:host.profile or AWS_PROFILE. Nothing was changed`,
  );
}

/** @throws UserError where the file has another region than the stack is in */
export function requireOwnRegion(session: Session, state: State): void {
  const regions = { is: placeIn(state)?.region, wanted: rawHost(session).region };
  const problem = regionProblem(session.stack, regions);
  if (problem) throw new UserError(`${problem}. Nothing was changed`);
}

/** Why AWS could not be asked, with how to fix it. */
export const unanswered = (what: string, error: Error): UserError =>
  new UserError(`cannot ask AWS about ${what}: ${inWords(whyUnanswered(error))}`);
