/** What the program looks up before it makes anything. */
import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeSubnetsCommand,
  DescribeVolumesCommand,
  DescribeVpcsCommand,
  type Filter,
  type _InstanceType as InstanceType,
  type LocationType,
} from "@aws-sdk/client-ec2";
import { GetAWSDefaultServiceQuotaCommand, GetServiceQuotaCommand } from "@aws-sdk/client-service-quotas";
import { GetParameterCommand } from "@aws-sdk/client-ssm";
import { z } from "zod";
import type { PackageFunction } from "../../../offline/plugins/shared/provider.ts";
import { type Properties, secret } from "../../../offline/plugins/shared/values.ts";
import { type Cloud, tagMap } from "./cloud.ts";
import { calling } from "./errors.ts";
import { outputsOf } from "./instance.ts";

const filters = z.array(z.strictObject({ name: z.string(), values: z.array(z.string()) })).optional();
const text = z.string().optional();

type Filters = z.infer<typeof filters>;

function filterList(given: Filters, more: Record<string, string | undefined> = {}): Filter[] {
  const own = Object.entries(more).flatMap(([Name, value]) => (value ? [{ Name, Values: [value] }] : []));
  return [...(given ?? []).map(({ name, values }) => ({ Name: name, Values: values })), ...own];
}

/** One function, from its arguments' schema and what it does with them. */
function lookup<Shape extends z.ZodRawShape>(
  shape: Shape,
  call: (args: z.infer<z.ZodObject<Shape>>) => Promise<Properties>,
): PackageFunction {
  const schema = z.strictObject(shape);
  return { schema, call: async (args) => ({ ...args, ...(await call(schema.parse(args) as never)) }) };
}

/** The only one there is; none or several are an error, as the official plugin has it. */
function only<T>(what: string, all: T[] | undefined): T {
  const [first, second] = all ?? [];
  if (first === undefined) throw new Error(`no matching ${what} found: your query returned no results`);
  if (second !== undefined) throw new Error(`multiple ${what}s matched; use additional constraints`);
  return first;
}

/** The functions, by token. */
export function functions(cloud: Cloud): Record<string, PackageFunction> {
  return {
    "aws:ssm/getParameter:getParameter": lookup({ name: z.string() }, async ({ name }) => {
      const command = new GetParameterCommand({ Name: name, WithDecryption: true });
      const { Parameter } = await calling(
        `reading SSM Parameter (${name})`,
        "SSM",
        "GetParameter",
        cloud.ssm.send(command),
      );
      const { ARN, Type, Value = "", Version } = Parameter ?? {};
      const insecureValue = Type === "SecureString" ? "" : Value;
      return { id: name, arn: ARN, type: Type, version: Version, value: secret(Value), insecureValue };
    }),

    "aws:ec2/getAmi:getAmi": lookup({ filters, owners: z.array(z.string()).optional() }, async (args) => {
      const command = new DescribeImagesCommand({ Filters: filterList(args.filters), Owners: args.owners });
      const image = only("EC2 AMI", (await cloud.ec2.send(command)).Images);
      const blockDeviceMappings = (image.BlockDeviceMappings ?? []).map(({ DeviceName, Ebs, NoDevice }) => ({
        deviceName: DeviceName,
        // A map of texts, by the names of Terraform.
        ebs: {
          delete_on_termination: String(Ebs?.DeleteOnTermination ?? false),
          encrypted: String(Ebs?.Encrypted ?? false),
          snapshot_id: Ebs?.SnapshotId ?? "",
          volume_size: String(Ebs?.VolumeSize ?? 0),
          volume_type: Ebs?.VolumeType ?? "",
        },
        noDevice: NoDevice ?? "",
        virtualName: "",
      }));
      return {
        id: image.ImageId,
        imageId: image.ImageId,
        architecture: image.Architecture,
        blockDeviceMappings,
        description: image.Description,
        name: image.Name,
        ownerId: image.OwnerId,
        rootDeviceName: image.RootDeviceName,
        rootDeviceType: image.RootDeviceType,
        state: image.State,
      };
    }),

    "aws:ec2/getInstanceType:getInstanceType": lookup({ instanceType: z.string() }, async (args) => {
      const types = [args.instanceType as InstanceType];
      const answer = await calling(
        `reading EC2 Instance Type (${args.instanceType})`,
        "EC2",
        "DescribeInstanceTypes",
        cloud.ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: types })),
      );
      const type = only("EC2 Instance Type", answer.InstanceTypes);
      return {
        id: args.instanceType,
        defaultVcpus: type.VCpuInfo?.DefaultVCpus,
        gpuses: (type.GpuInfo?.Gpus ?? []).map(({ Count, Manufacturer, MemoryInfo, Name }) => ({
          count: Count,
          manufacturer: Manufacturer,
          memorySize: MemoryInfo?.SizeInMiB,
          name: Name,
        })),
        memorySize: type.MemoryInfo?.SizeInMiB,
        supportedArchitectures: type.ProcessorInfo?.SupportedArchitectures,
        totalGpuMemory: type.GpuInfo?.TotalGpuMemoryInMiB ?? 0,
      };
    }),

    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": lookup(
      { filters, locationType: text },
      async (args) => {
        const command = new DescribeInstanceTypeOfferingsCommand({
          Filters: filterList(args.filters),
          LocationType: args.locationType as LocationType,
        });
        const offerings = (await cloud.ec2.send(command)).InstanceTypeOfferings ?? [];
        return {
          id: cloud.region,
          instanceTypes: offerings.map(({ InstanceType = "" }) => InstanceType),
          locations: offerings.map(({ Location = "" }) => Location),
          locationTypes: offerings.map(({ LocationType = "" }) => LocationType),
        };
      },
    ),

    "aws:ec2/getVpc:getVpc": lookup(
      { filters, id: text, default: z.boolean().optional() },
      async ({ id, default: isDefault, ...args }) => {
        const command = new DescribeVpcsCommand({
          VpcIds: id ? [id] : undefined,
          Filters: filterList(args.filters, { isDefault: isDefault ? "true" : undefined }),
        });
        const vpc = only("EC2 VPC", (await cloud.ec2.send(command)).Vpcs);
        return { id: vpc.VpcId, cidrBlock: vpc.CidrBlock, default: vpc.IsDefault, state: vpc.State };
      },
    ),

    "aws:ec2/getSubnets:getSubnets": lookup({ filters }, async (args) => {
      const command = new DescribeSubnetsCommand({ Filters: filterList(args.filters) });
      const subnets = (await cloud.ec2.send(command)).Subnets ?? [];
      return { id: cloud.region, ids: subnets.map(({ SubnetId = "" }) => SubnetId) };
    }),

    "aws:ec2/getSubnet:getSubnet": lookup({ filters, id: text }, async ({ id, ...args }) => {
      const command = new DescribeSubnetsCommand({
        SubnetIds: id ? [id] : undefined,
        Filters: filterList(args.filters),
      });
      const subnet = only("EC2 Subnet", (await cloud.ec2.send(command)).Subnets);
      return {
        id: subnet.SubnetId,
        availabilityZone: subnet.AvailabilityZone,
        cidrBlock: subnet.CidrBlock,
        defaultForAz: subnet.DefaultForAz,
        mapPublicIpOnLaunch: subnet.MapPublicIpOnLaunch,
        vpcId: subnet.VpcId,
      };
    }),

    "aws:servicequotas/getServiceQuota:getServiceQuota": lookup(
      { serviceCode: z.string(), quotaCode: z.string() },
      async (args) => {
        const ids = { ServiceCode: args.serviceCode, QuotaCode: args.quotaCode };
        const what = `reading Service Quotas Service Quota (${args.serviceCode}/${args.quotaCode})`;
        const service = "Service Quotas";
        const standard = cloud.quotas.send(new GetAWSDefaultServiceQuotaCommand(ids));
        const { Quota: byDefault } = await calling(what, service, "GetAWSDefaultServiceQuota", standard);
        const asked = cloud.quotas.send(new GetServiceQuotaCommand(ids));
        const { Quota } = await calling(what, service, "GetServiceQuota", asked);
        return {
          id: Quota?.QuotaArn,
          adjustable: Quota?.Adjustable,
          arn: Quota?.QuotaArn,
          defaultValue: byDefault?.Value,
          quotaName: Quota?.QuotaName,
          serviceName: Quota?.ServiceName,
          value: Quota?.Value,
        };
      },
    ),

    "aws:ebs/getEbsVolumes:getEbsVolumes": lookup({ filters }, async (args) => {
      const command = new DescribeVolumesCommand({ Filters: filterList(args.filters) });
      const volumes = (await cloud.ec2.send(command)).Volumes ?? [];
      return { id: cloud.region, ids: volumes.map(({ VolumeId = "" }) => VolumeId) };
    }),

    "aws:ebs/getVolume:getVolume": lookup({ filters }, async (args) => {
      const command = new DescribeVolumesCommand({ Filters: filterList(args.filters) });
      const volume = only("EBS Volume", (await cloud.ec2.send(command)).Volumes);
      return {
        id: volume.VolumeId,
        volumeId: volume.VolumeId,
        availabilityZone: volume.AvailabilityZone,
        encrypted: volume.Encrypted,
        size: volume.Size,
        tags: tagMap(volume.Tags),
        volumeType: volume.VolumeType,
      };
    }),

    "aws:ec2/getInstances:getInstances": lookup(
      { filters, instanceStateNames: z.array(z.string()).optional() },
      async (args) => {
        const states = args.instanceStateNames ?? ["running"];
        const command = new DescribeInstancesCommand({
          Filters: [...filterList(args.filters), { Name: "instance-state-name", Values: states }],
        });
        const { Reservations = [] } = await cloud.ec2.send(command);
        const instances = Reservations.flatMap(({ Instances = [] }) => Instances);
        return {
          id: cloud.region,
          ids: instances.map(({ InstanceId = "" }) => InstanceId),
          privateIps: instances.flatMap(({ PrivateIpAddress }) => PrivateIpAddress ?? []),
          publicIps: instances.flatMap(({ PublicIpAddress }) => PublicIpAddress ?? []),
        };
      },
    ),

    "aws:ec2/getInstance:getInstance": lookup({ filters, instanceId: text }, async (args) => {
      const command = new DescribeInstancesCommand({
        InstanceIds: args.instanceId ? [args.instanceId] : undefined,
        Filters: filterList(args.filters),
      });
      const { Reservations = [] } = await calling(
        "reading EC2 Instance",
        "EC2",
        "DescribeInstances",
        cloud.ec2.send(command),
      );
      const instance = only(
        "EC2 Instance",
        Reservations.flatMap(({ Instances = [] }) => Instances).filter(
          ({ State }) => State?.Name !== "terminated",
        ),
      );
      return { id: instance.InstanceId, ...outputsOf(instance), tags: tagMap(instance.Tags) };
    }),
  };
}
