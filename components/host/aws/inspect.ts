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
import { judgeQuotas, noneFits } from "../../../machine/aws/quota.ts";
import { isNvidia, type TypeFacts, typeProblem, typeQuestion } from "../../../machine/aws/types.ts";
import { whyUnanswered } from "../../../machine/aws/unanswered.ts";
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
  const type = types.find((each) => each.instanceType === instanceType) as TypeFacts;
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
    `${existing.id} will be replaced, because ${why.join(" and ")}: it is terminated before the new one is created, and its system disk (images, home volumes, everything outside the data root) is lost; the data volume and the address are kept. If AWS has no capacity then, there is no machine until it has`,
  );
}

async function findTypes({ host, provider }: InspectAwsArgs): Promise<TypeFacts[]> {
  const find = async (instanceType: string): Promise<TypeFacts> => {
    const question = typeQuestion(instanceType, host.region);
    const type = await ask(question, aws.ec2.getInstanceType({ instanceType }, { provider }));
    const facts = {
      instanceType,
      vcpus: type.defaultVcpus,
      gpu: type.gpuses.some(({ manufacturer }) => isNvidia(manufacturer)),
      architectures: type.supportedArchitectures,
      hypervisor: type.hypervisor,
      nvme: type.ebsNvmeSupport,
    };
    const problem = typeProblem(facts);
    if (problem) refuse(problem);
    return facts;
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

/** The types whose quota is large enough. @throws UserError when no type fits */
async function fitQuota(
  { host, provider }: InspectAwsArgs,
  types: TypeFacts[],
  existing: Existing | undefined,
): Promise<string[]> {
  // It runs, or has run, in the same market: it fits. What is replaced is ended first.
  const hasRun = ({ instanceType }: TypeFacts) =>
    instanceType === existing?.instanceType && existing.spot === host.spot;
  const judged = await judgeQuotas(
    types.filter((type) => !hasRun(type)),
    {
      ...host,
      read: async (quotaCode) =>
        (await aws.servicequotas.getServiceQuota({ serviceCode: "ec2", quotaCode }, { provider })).value,
    },
  );
  if (!types.some(hasRun) && noneFits(judged))
    refuse(`gpubox:host.instanceTypes: ${judged.map(({ problem }) => problem).join("; ")}`);
  for (const { fits, problem } of judged)
    if (problem !== undefined) pulumi.log.warn(fits ? problem : `left out: ${problem}`);
  const leftOut = judged.filter(({ fits }) => !fits).map(({ instanceType }) => instanceType);
  return types.map(({ instanceType }) => instanceType).filter((each) => !leftOut.includes(each));
}

function choosePlacement({ host }: InspectAwsArgs, facts: PlacementFacts): Placement {
  return placements(facts)[0] ?? refuse(noPlacement(facts, host.region));
}

function refuseArchitecture({ instanceType, architectures }: TypeFacts, image: Image): void {
  if (image.architecture === undefined || architectures.includes(image.architecture)) return;
  refuse(
    `gpubox:host.ami: ${image.id} is for ${image.architecture}, and ${instanceType} is ${architectures.join(" or ")}: set another \`ami\`, or other \`instanceTypes\``,
  );
}

async function findAddress(sshCidr: string | undefined): Promise<string | undefined> {
  if (sshCidr !== "mine") return sshCidr;
  try {
    const response = await fetch(ADDRESS_SERVICE, { signal: AbortSignal.timeout(10_000) });
    const address = (await response.text()).trim();
    if (response.ok && /^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return `${address}/32`;
    return refuse(
      `${ADDRESS_SERVICE} returned no IPv4 address (HTTP ${response.status}): give yours as gpubox:host.sshCidr`,
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    return refuse(
      `gpubox:host.sshCidr: ${ADDRESS_SERVICE} does not answer (${(error as Error).message}): give your address with /32`,
    );
  }
}
