/** What AWS says of an instance type, and whether a machine can be of it. Pure. */
import type { Question } from "./unanswered.ts";

/** An instance type. */
export interface TypeFacts {
  instanceType: string;
  vcpus: number;
  /** Whether it has an NVIDIA GPU. */
  gpu: boolean;
  architectures: string[];
  /** `nitro`, `xen`; undefined or empty for bare metal. */
  hypervisor: string | undefined;
  /** Whether its disks are NVMe ones: `unsupported`, `supported`, `required`. */
  nvme: string | undefined;
}

/** How it is asked for. */
export const typeQuestion = (instanceType: string, region: string): Question => ({
  key: "instanceTypes",
  question: `what ${instanceType} is`,
  absent: `gpubox:host.instanceTypes: ${region} has no type ${instanceType}`,
});

export const isNvidia = (manufacturer: string | undefined): boolean => /nvidia/i.test(manufacturer ?? "");

/** Why no machine can be of it; undefined where one can. */
export function typeProblem({ instanceType, hypervisor, nvme }: TypeFacts): string | undefined {
  if (nvme !== "unsupported" && hypervisor !== "xen") return undefined;
  return `gpubox:host.instanceTypes: ${instanceType} is of a generation without NVMe disks (hypervisor ${hypervisor}), whose GPUs and disks AWS's images no longer support: choose a newer one, g4dn.xlarge or later`;
}
