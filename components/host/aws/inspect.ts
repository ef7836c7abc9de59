/** What AWS says before anything is made: the image, where the wanted types are to be had, what is there already. */

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { AwsHostArgs } from "../../../config/host/aws.ts";
import { UserError } from "../../../errors.ts";
import { regionProblem } from "../../../machine/aws/arn.ts";
import {
  noPlacement,
  type Placement,
  type PlacementFacts,
  placements,
} from "../../../machine/aws/capacity.ts";
import type { Known } from "../../../machine/aws/known.ts";
import { quotaOf, quotaProblem } from "../../../machine/aws/quota.ts";
import { inWords, whyUnanswered } from "../../../machine/aws/unanswered.ts";
import { stackName } from "../../../machine/owner.ts";
import { ask, refuse } from "./ask.ts";
import { findNetwork, type Subnet } from "./network.ts";
import { type Existing, findInstance, findVolume } from "./present.ts";

/** What was found out, and chosen by it. */
export interface AwsFindings {
  instanceType: string;
  zone: string;
  subnet: string;
  vpc: string;
  ami: string;
  /** GB of the system disk: as configured, or what the image or the machine that is there needs. */
  rootSize: number;
  /** GB of the data volume: as configured, or that of the one that is adopted. */
  dataSize: number;
  /** Whether the type has an NVIDIA GPU. */
  gpu: boolean;
  /** The one network that may reach SSH; undefined where nothing is open. */
  sshCidr: string | undefined;
}

/** What `inspectAws` takes. */
export interface InspectAwsArgs {
  host: AwsHostArgs;
  /** What the stack has by its state. */
  known: Known;
  /** `<project>/<stack>`: the tag on everything the stack made. */
  stack: string;
  provider: aws.Provider;
}

/** Where the person's address is asked for with `sshCidr: mine`. */
const ADDRESS_SERVICE = "https://checkip.amazonaws.com";

/**
 * Looks the account over.
 *
 * @throws UserError when the stack cannot be made as it is configured; nothing was created then
 */
export async function inspectAws(args: InspectAwsArgs): Promise<AwsFindings> {
  const { host, known } = args;
  const problem = regionProblem(stackName(args.stack), { is: known.region, wanted: host.region });
  if (problem) refuse(problem);
  const [network, existing, types, offerings, sshCidr] = await Promise.all([
    findNetwork(args),
    findInstance(args),
    findTypes(args),
    findOfferings(args),
    findAddress(host.sshCidr),
  ]);
  const [image, volume, fitting] = await Promise.all([
    findImage(args, existing),
    findVolume(args),
    fitQuota(args, types, existing),
  ]);
  const { instanceType, zone } = choosePlacement(args, {
    instanceTypes: fitting,
    offerings,
    zones: network.subnets.map((subnet) => subnet.zone),
    volumeZone: volume?.zone,
    existing,
    unavailable: host.unavailable,
  });
  const type = types.find((each) => each.instanceType === instanceType) as InstanceType;
  refuseArchitecture(type, image);
  if (existing) announceReplacement(args, existing, image);
  return {
    instanceType,
    zone,
    subnet: (network.subnets.find((subnet) => subnet.zone === zone) as Subnet).id,
    vpc: network.vpc,
    ami: image.id,
    // A disk never shrinks: that of a machine which stays is as large as it is.
    rootSize: Math.max(host.rootSize, image.size, existing?.ami === image.id ? existing.rootSize : 0),
    dataSize: "id" in host.dataVolume ? (volume?.size ?? 0) : host.dataVolume.size,
    gpu: type.gpu,
    sshCidr,
  };
}

interface Image {
  id: string;
  /** Undefined for that of a machine which is there, where AWS has it no more. */
  architecture: string | undefined;
  /** GB that a disk needs for it. */
  size: number;
}

/**
 * The image that is named by its id; of a parameter, whose value moves on, that of the machine which is there. One that is replaced
 * anyway takes the newest.
 */
async function findImage(args: InspectAwsArgs, existing: Existing | undefined): Promise<Image> {
  const { host, provider } = args;
  const stays = existing?.spot === host.spot;
  const id = !host.ami.startsWith("/") ? host.ami : stays ? existing.ami : await newestImage(args);
  const look = aws.ec2.getAmi({ filters: [{ name: "image-id", values: [id] }] }, { provider });
  if (id === existing?.ami) {
    const isGone = await look.then(
      () => false,
      (error) => whyUnanswered(error).kind === "absent",
    );
    if (isGone) return { id, architecture: undefined, size: 0 };
  }
  const image = await ask(
    {
      key: "ami",
      question: `what image ${id} is`,
      absent: `gpubox:host.ami: there is no image ${id} in ${host.region}`,
    },
    look,
  );
  const root = image.blockDeviceMappings.find(({ deviceName }) => deviceName === image.rootDeviceName);
  return { id, architecture: image.architecture, size: Number(root?.ebs.volume_size ?? 0) };
}

async function newestImage({ host, provider }: InspectAwsArgs): Promise<string> {
  const { insecureValue } = await ask(
    {
      key: "ami",
      question: `what the parameter ${host.ami} holds`,
      absent: `gpubox:host.ami: there is no parameter ${host.ami} in ${host.region}: give the id of an image instead, "ami-…"`,
    },
    aws.ssm.getParameter({ name: host.ami }, { provider }),
  );
  return insecureValue;
}

/** Says that the machine will be another: one reason for it shows nowhere else, as the provider takes spot for no difference. */
function announceReplacement({ host }: InspectAwsArgs, existing: Existing, image: Image): void {
  const why = [
    ...(existing.spot === host.spot ? [] : [`gpubox:host.spot is ${host.spot} now`]),
    ...(existing.ami === image.id ? [] : [`its image is ${existing.ami}, and ${image.id} is wanted`]),
  ];
  if (why.length === 0) return;
  pulumi.log.warn(
    `${existing.id} is replaced, as ${why.join(" and ")}: it is ended before the next is made, and with it goes its system disk (images, home volumes, all outside of the root); the data volume and the address stay. Where AWS has no capacity then, there is no machine until it has`,
  );
}

interface InstanceType {
  instanceType: string;
  vcpus: number;
  gpu: boolean;
  architectures: string[];
}

async function findTypes({ host, provider }: InspectAwsArgs): Promise<InstanceType[]> {
  const find = async (instanceType: string): Promise<InstanceType> => {
    const type = await ask(
      {
        key: "instanceTypes",
        question: `what ${instanceType} is`,
        absent: `gpubox:host.instanceTypes: ${host.region} knows no type ${instanceType}`,
      },
      aws.ec2.getInstanceType({ instanceType }, { provider }),
    );
    if (type.ebsNvmeSupport === "unsupported" || type.hypervisor === "xen") {
      refuse(
        `gpubox:host.instanceTypes: ${instanceType} is of a generation without NVMe disks (hypervisor ${type.hypervisor}), whose GPUs and disks AWS's images serve no more: take a newer one, g4dn.xlarge or later`,
      );
    }
    return {
      instanceType,
      vcpus: type.defaultVcpus,
      gpu: type.gpuses.some(({ manufacturer }) => /nvidia/i.test(manufacturer)),
      architectures: type.supportedArchitectures,
    };
  };
  return await Promise.all(host.instanceTypes.map(find));
}

async function findOfferings({ host, provider }: InspectAwsArgs): Promise<Placement[]> {
  const filters = [{ name: "instance-type", values: host.instanceTypes }];
  const { instanceTypes, locations } = await ask(
    {
      key: "instanceTypes",
      question: `which zones of ${host.region} offer ${host.instanceTypes.join(", ")}`,
    },
    aws.ec2.getInstanceTypeOfferings({ filters, locationType: "availability-zone" }, { provider }),
  );
  return instanceTypes.map((instanceType, index) => ({ instanceType, zone: locations[index] as string }));
}

/**
 * The types whose quota is large enough. A quota that cannot be read is said, and let pass: launching needs no permission to
 * read it.
 *
 * @throws UserError when no type fits
 */
async function fitQuota(
  { host, provider }: InspectAwsArgs,
  types: InstanceType[],
  existing: Existing | undefined,
): Promise<string[]> {
  const problemOf = async ({ instanceType, vcpus: needed }: InstanceType): Promise<string | undefined> => {
    // It runs, or has run, in the same market: it fits. What is replaced is ended first.
    if (instanceType === existing?.instanceType && existing.spot === host.spot) return undefined;
    const quota = quotaOf(instanceType, host.spot);
    if (!quota) {
      pulumi.log.warn(
        `the quota of ${instanceType}${host.spot ? " on spot" : ""} is not known to gpubox and was not checked`,
      );
      return undefined;
    }
    try {
      const { value } = await aws.servicequotas.getServiceQuota(
        { serviceCode: "ec2", quotaCode: quota.code },
        { provider },
      );
      return quotaProblem({ instanceType, region: host.region, quota, needed, allowed: value });
    } catch (error) {
      pulumi.log.warn(
        `quota ${quota.code} (${quota.name}) cannot be read, so whether ${instanceType} fits was not checked: ${inWords(whyUnanswered(error))}`,
      );
      return undefined;
    }
  };
  const problems = await Promise.all(types.map(problemOf));
  const fitting = types.filter((_, index) => problems[index] === undefined);
  const found = problems.filter((problem) => problem !== undefined);
  if (fitting.length === 0) refuse(`gpubox:host.instanceTypes: ${found.join("; ")}`);
  for (const problem of found) pulumi.log.warn(`left out: ${problem}`);
  return fitting.map(({ instanceType }) => instanceType);
}

function choosePlacement({ host }: InspectAwsArgs, facts: PlacementFacts): Placement {
  return placements(facts)[0] ?? refuse(noPlacement(facts, host.region));
}

function refuseArchitecture({ instanceType, architectures }: InstanceType, image: Image): void {
  if (image.architecture === undefined || architectures.includes(image.architecture)) return;
  refuse(
    `gpubox:host.ami: ${image.id} is for ${image.architecture}, and ${instanceType} is ${architectures.join(" or ")}: give another \`ami\`, or other \`instanceTypes\``,
  );
}

async function findAddress(sshCidr: string | undefined): Promise<string | undefined> {
  if (sshCidr !== "mine") return sshCidr;
  try {
    const response = await fetch(ADDRESS_SERVICE, { signal: AbortSignal.timeout(10_000) });
    const address = (await response.text()).trim();
    if (response.ok && /^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return `${address}/32`;
    return refuse(
      `${ADDRESS_SERVICE} does not say an IPv4 address (HTTP ${response.status}): give yours as gpubox:host.sshCidr`,
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    return refuse(
      `gpubox:host.sshCidr: ${ADDRESS_SERVICE} does not answer (${(error as Error).message}): give your address with /32`,
    );
  }
}
