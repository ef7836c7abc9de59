/** What a stack has on AWS by its state: tags alone do not tell it from another stack of the same name. Pure. */
import { TYPE } from "../resource-types.ts";
import { type Ec2Arn, ec2Arn } from "./arn.ts";

/** What is known; nothing of a stack that is new. */
export interface Known {
  /** Id of its instance. */
  instance?: string;
  /** Id of its data volume, where it has made that itself. */
  volume?: string;
  /** Where they are. */
  region?: string;
}

/** What a state says of a resource, as far as it is read here. */
export interface KnownResource {
  type: string;
  outputs?: Record<string, unknown>;
}

function arnsOf(resources: KnownResource[]) {
  const arnOf = (type: string) => ec2Arn(resources.find((each) => each.type === type)?.outputs?.arn);
  return { instance: arnOf(TYPE.instance), volume: arnOf(TYPE.ebsVolume) };
}

/** Reads it off the ARNs. */
export function knownOf(resources: KnownResource[]): Known {
  const { instance, volume } = arnsOf(resources);
  const region = (instance ?? volume)?.region;
  return {
    ...(instance && { instance: instance.id }),
    ...(volume && { volume: volume.id }),
    ...(region && { region }),
  };
}

/** Where a stack is, and whose account that is; undefined where it has nothing. */
export function placeOf(resources: KnownResource[]): Ec2Arn | undefined {
  const { instance, volume } = arnsOf(resources);
  return instance ?? volume;
}
