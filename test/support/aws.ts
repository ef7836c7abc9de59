/** An AWS account that answers what the program asks of one, without there being any. */

import { type AwsFindings, inspectAws } from "../../components/host/aws/inspect.ts";
import { AwsMachine, awsProvider } from "../../components/host/aws/machine.ts";
import { AwsHost, type AwsHostArgs as AwsHostParts } from "../../components/host/aws.ts";
import { type AwsHostArgs, awsHostArgs } from "../../config/host/aws.ts";
import type { Known } from "../../machine/aws/known.ts";
import type { S3Prefix } from "../../machine/aws/permissions.ts";
import { type Invokes, type Recording, record } from "./recorder.ts";

/** The least that a stack file must say. */
export const LEAST = { kind: "aws", region: "us-east-1", sshCidr: "203.0.113.7/32" };

export const PUBLIC_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKyq0bOeZxMok8mMlk3S1LkU8IZXhtdpK/QaV2JnVztR ada";

export const STACK = "gpubox/aws";

const ZONES = ["us-east-1a", "us-east-1b"];
const VCPUS: Record<string, number> = { "g6.xlarge": 4, "g5.xlarge": 4, "p5.48xlarge": 192, "t3.large": 2 };

/** An account with a default VPC in two zones, ample quotas, and nothing of the stack's in it. */
export const ACCOUNT: Invokes = {
  "aws:ssm/getParameter:getParameter": () => ({ insecureValue: "ami-0123456789abcdef0" }),
  "aws:ec2/getAmi:getAmi": () => ({
    architecture: "x86_64",
    rootDeviceName: "/dev/sda1",
    blockDeviceMappings: [
      { deviceName: "/dev/sdb", ebs: {} },
      { deviceName: "/dev/sda1", ebs: { volume_size: "75" } },
    ],
  }),
  "aws:ec2/getVpc:getVpc": () => ({ id: "vpc-1" }),
  "aws:ec2/getSubnets:getSubnets": () => ({ ids: ZONES.map((zone) => `subnet-${zone}`) }),
  "aws:ec2/getSubnet:getSubnet": ({ id }) => ({
    id,
    vpcId: "vpc-1",
    availabilityZone: ZONES.find((zone) => String(id).endsWith(zone)) ?? "us-east-1b",
  }),
  // An internet gateway, by the VPC's main table.
  "aws:ec2/getRouteTable:getRouteTable": ({ subnetId }) =>
    subnetId === undefined
      ? {
          routeTableId: "rtb-1",
          routes: [
            { cidrBlock: "172.31.0.0/16", gatewayId: "local" },
            { cidrBlock: "0.0.0.0/0", gatewayId: "igw-1", natGatewayId: "" },
          ],
        }
      : failing("1 error occurred:\n\t* query returned no results. Please change your search criteria")(),
  "aws:ec2/getInstances:getInstances": () => ({ ids: [] }),
  "aws:ebs/getEbsVolumes:getEbsVolumes": () => ({ ids: [] }),
  "aws:ec2/getInstanceType:getInstanceType": ({ instanceType }) => ({
    defaultVcpus: VCPUS[String(instanceType)],
    gpuses: /^[gp]\d/.test(String(instanceType)) ? [{ count: 1, manufacturer: "NVIDIA" }] : [],
    supportedArchitectures: ["x86_64"],
    hypervisor: "nitro",
    ebsNvmeSupport: "required",
  }),
  "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": ({ filters }) => {
    const [{ values }] = filters as [{ values: string[] }];
    const all = values.flatMap((instanceType) => ZONES.map((zone) => ({ instanceType, zone })));
    return { instanceTypes: all.map((each) => each.instanceType), locations: all.map((each) => each.zone) };
  },
  "aws:servicequotas/getServiceQuota:getServiceQuota": () => ({ value: 512 }),
};

/** An invoke that fails as the engine says it: the SDK reads the details. */
export const failing = (message: string) => (): never => {
  throw Object.assign(new Error(message), { details: message });
};

/** The arguments of a host, from what a stack file says beside the least. */
export function hostArgs(raw: Record<string, unknown> = {}): AwsHostArgs {
  return awsHostArgs.parse({ ...LEAST, ...raw });
}

/** Looks an account over for a stack. */
export function inspectAccount(
  raw: Record<string, unknown> = {},
  answers: Invokes = {},
  known: Known = {},
): Promise<Recording<AwsFindings>> {
  return record(
    async () => {
      const host = hostArgs(raw);
      return await inspectAws({ host, known, stack: STACK, provider: awsProvider("aws", host) });
    },
    { ...ACCOUNT, ...answers },
  );
}

/** Records the machine that a stack file declares in an account. */
export function recordMachine(
  raw: Record<string, unknown> = {},
  answers: Invokes = {},
  s3: S3Prefix[] = [],
): Promise<Recording<AwsMachine>> {
  return record(
    async () => {
      const host = hostArgs(raw);
      const provider = awsProvider("aws", host);
      const found = await inspectAws({ host, known: {}, stack: STACK, provider });
      return new AwsMachine("aws", { host, found, publicKey: PUBLIC_KEY, s3, stack: STACK, provider });
    },
    { ...ACCOUNT, ...answers },
  );
}

/** What is found in the account. */
export const FOUND: AwsFindings = {
  instanceType: "g6.xlarge",
  zone: "us-east-1a",
  subnet: "subnet-us-east-1a",
  vpc: "vpc-1",
  ami: "ami-0123456789abcdef0",
  rootSize: 100,
  dataSize: 100,
  gpu: true,
  sshCidr: "203.0.113.7/32",
};

/** A host in the account, without asking it. */
export function awsHost(parts: Partial<AwsHostParts> = {}): AwsHost {
  const { host = hostArgs(), stack = STACK } = parts;
  const provider = awsProvider("aws-provider", host);
  const rest = { found: FOUND, publicKey: PUBLIC_KEY, s3: [], root: "~/docker_mount" };
  return new AwsHost("aws", { host, stack, provider, ...rest, ...parts });
}
