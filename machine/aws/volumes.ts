/** Data volumes that are in an account already, and what follows from them for a stack. Pure. */
import { commandLine } from "../../text/command-line.ts";
import { stackName } from "../owner.ts";
import type { Known } from "./known.ts";
import { ROLE_TAG, STACK_TAG } from "./tags.ts";

/** A data volume that carries a stack's tag. */
export interface TaggedVolume {
  id: string;
  zone: string;
  /** GB. */
  size: number;
  /** Ids of the instances that have it. */
  usedBy: string[];
}

/** How AWS is asked for what carries the tag of a stack as its data volume, `<project>/<stack>`. */
export const taggedVolumes = (stack: string) => [
  { name: `tag:${STACK_TAG}`, values: [stack] },
  { name: `tag:${ROLE_TAG}`, values: ["data"] },
  { name: "status", values: ["creating", "available", "in-use"] },
];

/** Whether a stack would be given a new data volume. @param adopted id of the one that its configuration names */
export const makesVolume = (adopted: string | undefined, known: Known): boolean =>
  adopted === undefined && known.volume === undefined;

/** Whose volumes are judged. */
export interface VolumeOwner {
  /** `<project>/<stack>`. */
  stack: string;
  region: string;
  known: Known;
}

/**
 * Why no new data volume is made beside those that carry the stack's tag, with every way out; undefined where there are none. A second
 * one costs twice, and the files are on the other.
 */
export function secondVolumeProblem(owner: VolumeOwner, volumes: TaggedVolume[]): string | undefined {
  if (volumes.length === 0) return undefined;
  const used = volumes.filter(({ usedBy }) => usedBy.some((id) => id !== owner.known.instance));
  return used.length > 0 ? othersProblem(owner, used) : keptProblem(owner, volumes);
}

const text = ({ id, size, zone }: TaggedVolume) => `${id} (${size} GB, ${zone})`;

function othersProblem({ stack }: VolumeOwner, used: TaggedVolume[]): string {
  const by = used.flatMap(({ usedBy }) => usedBy);
  return `${used.map(text).join(", ")} has the tag of stack ${stack} and is in use by ${by.join(", ")}, which is not in this stack's state. It belongs to another clone or another user of this account: create your stack under another name with \`${commandLine("init", "-s", "NAME", "--kind", "aws")}\`. Nothing was created`;
}

function keptProblem({ stack, region }: VolumeOwner, volumes: TaggedVolume[]): string {
  const ids = volumes.map(({ id }) => id);
  return [
    `the data of stack ${stackName(stack)} is still there: ${volumes.map(text).join(", ")}. Nothing was created.`,
    ...ids.map((id) => `  to use it, below gpubox:host:   dataVolume: {id: ${id}}`),
    "  to start afresh and keep it for later:  " +
      `aws ec2 delete-tags --region ${region} --tags Key=${ROLE_TAG} --resources ${ids.join(" ")}`,
    ...ids.map(
      (id) =>
        `  to delete it with everything on it:   aws ec2 delete-volume --region ${region} --volume-id ${id}`,
    ),
  ].join("\n");
}
