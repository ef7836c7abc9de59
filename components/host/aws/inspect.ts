/** What AWS says before anything is made: the image, where the wanted types are to be had, what is there already. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { stackName } from "../owner.ts";
import { npmLine } from "../shell.ts";
import type { AwsHostArgs } from "./args.ts";
import { noPlacement, type Placement, type PlacementFacts, placements } from "./capacity.ts";
import { quotaOf, quotaProblem } from "./quota.ts";
import { ROLE_TAG, STACK_TAG } from "./tags.ts";

/** What was found out, and chosen by it. */
export interface AwsFindings {
  instanceType: string;
  zone: string;
  subnet: string;
  vpc: string;
  ami: string;
  /** Architecture of the image as Docker names it, e.g. `amd64`. */
  architecture: string;
  /** GB the system disk needs at least. */
  imageSize: number;
  /** Whether the type has an NVIDIA GPU. */
  gpu: boolean;
  /** GB of the volume that is adopted; undefined where the stack makes its own. */
  adoptedSize: number | undefined;
  /** The one network that may reach SSH; undefined where nothing is open. */
  sshCidr: string | undefined;
}

/** What `inspectAws` takes. */
export interface InspectAwsArgs {
  host: AwsHostArgs;
  /** `<project>/<stack>`: the tag on everything the stack made. */
  stack: string;
  provider: aws.Provider;
}

/** Where the person's address is asked for with `sshCidr: mine`. */
const ADDRESS_SERVICE = "https://checkip.amazonaws.com";

/**
 * Looks the account over.
 *
 * @throws pulumi.RunError when the stack cannot be made as it is configured; nothing was created then
 */
export async function inspectAws(args: InspectAwsArgs): Promise<AwsFindings> {
  const [image, network, existing, types, sshCidr] = await Promise.all([
    findImage(args),
    findNetwork(args),
    findInstance(args),
    findTypes(args),
    findAddress(args.host.sshCidr),
  ]);
  const volume = await findVolume(args, existing);
  const fitting = await fitQuota(args, types, existing);
  const { instanceType, zone } = choosePlacement(args, {
    instanceTypes: fitting,
    offerings: await findOfferings(args),
    zones: network.subnets.map((subnet) => subnet.zone),
    volumeZone: volume?.zone,
    existing,
    unavailable: args.host.unavailable,
  });
  const type = types.find((each) => each.instanceType === instanceType) as InstanceType;
  refuseArchitecture(type, image);
  return {
    instanceType,
    zone,
    subnet: (network.subnets.find((subnet) => subnet.zone === zone) as Subnet).id,
    vpc: network.vpc,
    ami: image.id,
    architecture: DOCKER_ARCHITECTURES[image.architecture] ?? image.architecture,
    imageSize: image.size,
    gpu: type.gpu,
    adoptedSize: "id" in args.host.dataVolume ? volume?.size : undefined,
    sshCidr,
  };
}

const refuse = (problem: string): never => {
  throw new pulumi.RunError(`${problem}; nothing was created`);
};

/** What an invoke failed with, in one line. */
const first = (error: unknown) =>
  String((error as Error).message ?? error).match(/\S.*/)?.[0] ?? "no reason given";

interface Image {
  id: string;
  architecture: string;
  size: number;
}

async function findImage({ host, provider }: InspectAwsArgs): Promise<Image> {
  const id = host.ami.startsWith("/")
    ? (
        await aws.ssm
          .getParameter({ name: host.ami }, { provider })
          .catch((error) =>
            refuse(
              `gpubox:host.ami: the parameter ${host.ami} cannot be read in ${host.region} (${first(error)}): give the id of an image instead, "ami-…"`,
            ),
          )
      ).insecureValue
    : host.ami;
  const image = await aws.ec2
    .getAmi({ filters: [{ name: "image-id", values: [id] }] }, { provider })
    .catch((error) => refuse(`gpubox:host.ami: there is no image ${id} in ${host.region} (${first(error)})`));
  const root = image.blockDeviceMappings.find(({ deviceName }) => deviceName === image.rootDeviceName);
  return { id, architecture: image.architecture, size: Number(root?.ebs.volume_size ?? 0) };
}

interface Subnet {
  id: string;
  zone: string;
}

async function findNetwork({ host, provider }: InspectAwsArgs): Promise<{ vpc: string; subnets: Subnet[] }> {
  if (host.subnet !== undefined) {
    const { id, vpcId, availabilityZone } = await aws.ec2
      .getSubnet({ id: host.subnet }, { provider })
      .catch((error) => refuse(`gpubox:host.subnet: ${host.subnet} is not there (${first(error)})`));
    return { vpc: vpcId, subnets: [{ id, zone: availabilityZone }] };
  }
  const { id: vpc } = await aws.ec2
    .getVpc({ default: true }, { provider })
    .catch((error) =>
      refuse(
        `region ${host.region} has no default VPC (${first(error)}): make one with \`aws ec2 create-default-vpc --region ${host.region}\`, or name a subnet as gpubox:host.subnet`,
      ),
    );
  const filters = [
    { name: "vpc-id", values: [vpc] },
    { name: "default-for-az", values: ["true"] },
  ];
  const { ids } = await aws.ec2.getSubnets({ filters }, { provider });
  const subnets = await Promise.all(ids.map((id) => aws.ec2.getSubnet({ id }, { provider })));
  return { vpc, subnets: subnets.map(({ id, availabilityZone }) => ({ id, zone: availabilityZone })) };
}

/** Where the stack's instance is, once there is one, running or not. */
async function findInstance({ stack, provider }: InspectAwsArgs): Promise<Placement | undefined> {
  const { ids } = await aws.ec2.getInstances(
    {
      filters: [{ name: `tag:${STACK_TAG}`, values: [stack] }],
      instanceStateNames: ["pending", "running", "stopping", "stopped"],
    },
    { provider },
  );
  const [instanceId] = ids;
  if (instanceId === undefined) return undefined;
  const { instanceType, availabilityZone } = await aws.ec2.getInstance({ instanceId }, { provider });
  return { instanceType, zone: availabilityZone };
}

interface Volume {
  id: string;
  zone: string;
  size: number;
}

async function getVolume(id: string, provider: aws.Provider): Promise<Volume & { encrypted: boolean }> {
  const volume = await aws.ebs.getVolume({ filters: [{ name: "volume-id", values: [id] }] }, { provider });
  return { id, zone: volume.availabilityZone, size: volume.size, encrypted: volume.encrypted };
}

/** The data volume that is there already: an instance can only be in its zone. */
async function findVolume(
  args: InspectAwsArgs,
  existing: Placement | undefined,
): Promise<Volume | undefined> {
  const { host, stack, provider } = args;
  if ("id" in host.dataVolume) {
    const { id } = host.dataVolume;
    const volume = await getVolume(id, provider).catch((error) =>
      refuse(`gpubox:host.dataVolume.id: ${id} is not there in ${host.region} (${first(error)})`),
    );
    if (!volume.encrypted)
      pulumi.log.warn(`${id} is not encrypted; a copy made from a snapshot of it can be`);
    return volume;
  }
  const filters = [
    { name: `tag:${STACK_TAG}`, values: [stack] },
    { name: `tag:${ROLE_TAG}`, values: ["data"] },
    { name: "status", values: ["creating", "available", "in-use"] },
  ];
  const { ids } = await aws.ebs.getEbsVolumes({ filters }, { provider });
  const volumes = await Promise.all(ids.map((id) => getVolume(id, provider)));
  if (existing) return volumes.find(({ zone }) => zone === existing.zone);
  const [volume, ...others] = volumes;
  if (others.length > 0) {
    const list = volumes.map(({ id, zone, size }) => `${id} (${size} GB, ${zone})`).join(", ");
    refuse(
      `several data volumes carry the tag ${STACK_TAG}=${stack}: ${list}. Say which is meant with gpubox:host.dataVolume.id, and remove those that are not needed with \`aws ec2 delete-volume --region ${host.region} --volume-id …\``,
    );
  }
  if (volume) {
    pulumi.log.warn(
      `data volume ${volume.id} (${volume.size} GB, ${volume.zone}) carries this stack's tag and no machine of the stack is there. Where an earlier \`destroy\` kept it, go on with its files by gpubox:host.dataVolume: {id: ${volume.id}}; \`${npmLine("start", "-s", stackName(stack))}\` makes no second one beside it, \`pulumi up\` does`,
    );
  }
  return volume;
}

interface InstanceType {
  instanceType: string;
  vcpus: number;
  gpu: boolean;
  architectures: string[];
}

function findTypes({ host, provider }: InspectAwsArgs): Promise<InstanceType[]> {
  const find = async (instanceType: string): Promise<InstanceType> => {
    const type = await aws.ec2
      .getInstanceType({ instanceType }, { provider })
      .catch((error) =>
        refuse(`gpubox:host.instanceTypes: ${host.region} knows no type ${instanceType} (${first(error)})`),
      );
    return {
      instanceType,
      vcpus: type.defaultVcpus,
      gpu: type.gpuses.some(({ manufacturer }) => /nvidia/i.test(manufacturer)),
      architectures: type.supportedArchitectures,
    };
  };
  return Promise.all(host.instanceTypes.map(find));
}

async function findOfferings({ host, provider }: InspectAwsArgs): Promise<Placement[]> {
  const { instanceTypes, locations } = await aws.ec2.getInstanceTypeOfferings(
    { filters: [{ name: "instance-type", values: host.instanceTypes }], locationType: "availability-zone" },
    { provider },
  );
  return instanceTypes.map((instanceType, index) => ({ instanceType, zone: locations[index] as string }));
}

/**
 * The types whose quota is large enough. A quota that cannot be read is said, and let pass: launching needs no permission to
 * read it.
 *
 * @throws pulumi.RunError when no type fits
 */
async function fitQuota(
  { host, provider }: InspectAwsArgs,
  types: InstanceType[],
  existing: Placement | undefined,
): Promise<string[]> {
  const problemOf = async ({ instanceType, vcpus: needed }: InstanceType): Promise<string | undefined> => {
    // It runs, or has run: it fits.
    if (instanceType === existing?.instanceType) return undefined;
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
        `quota ${quota.code} (${quota.name}) cannot be read, so whether ${instanceType} fits was not checked: ${first(error)}`,
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

/** Docker's names for what AWS calls an architecture. */
const DOCKER_ARCHITECTURES: Record<string, string> = { x86_64: "amd64", arm64: "arm64" };

function refuseArchitecture({ instanceType, architectures }: InstanceType, image: Image): void {
  if (architectures.includes(image.architecture)) return;
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
    if (error instanceof pulumi.RunError) throw error;
    return refuse(
      `gpubox:host.sshCidr: ${ADDRESS_SERVICE} does not answer (${first(error)}): give your address with /32`,
    );
  }
}
