/** What the program looks up before it makes anything. */
import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeRouteTablesCommand,
  DescribeSubnetsCommand,
  DescribeVolumesCommand,
  DescribeVpcAttributeCommand,
  DescribeVpcsCommand,
  type Filter,
  type _InstanceType as InstanceType,
  type LocationType,
  type Route,
  type RouteTable,
} from "@aws-sdk/client-ec2";
import { GetAWSDefaultServiceQuotaCommand, GetServiceQuotaCommand } from "@aws-sdk/client-service-quotas";
import { GetParameterCommand } from "@aws-sdk/client-ssm";
import { z } from "zod";
import type { PackageFunction } from "../../../offline/plugins/shared/provider.ts";
import { type Properties, secret } from "../../../offline/plugins/shared/values.ts";
import { type Cloud, tagMap } from "./cloud.ts";
import { calling, found, listed, listing } from "./errors.ts";
import { attributes, blockDevices, outputsOf } from "./instance.ts";

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

/** The only one there is; none or several are an error of Terraform's. */
function only<T>(what: string, all: T[] | undefined): T {
  const [first, second] = all ?? [];
  if (first === undefined) throw new Error(`no matching ${what} found`);
  if (second !== undefined)
    throw new Error(
      `multiple ${what}s matched; use additional constraints to reduce matches to a single ${what}`,
    );
  return first;
}

/** The same in older words, which a few look-ups have kept. */
function onlyResult<T>(all: T[] | undefined): T {
  const [first, second] = all ?? [];
  if (first === undefined)
    throw new Error("Your query returned no results. Please change your search criteria and try again.");
  if (second !== undefined)
    throw new Error(
      "Your query returned more than one result. Please try a more specific search criteria, or set `most_recent` attribute to true.",
    );
  return first;
}

/** The functions, by token; an error of one reads as the bridge between engine and Terraform tells it. */
export function functions(cloud: Cloud): Record<string, PackageFunction> {
  return Object.fromEntries(
    Object.entries(lookups(cloud)).map(([token, { schema, call }]) => [
      token,
      {
        schema,
        call: (args) =>
          call(args).catch((error) => {
            throw listed(`invoking ${token}`, error);
          }),
      },
    ]),
  );
}

function lookups(cloud: Cloud): Record<string, PackageFunction> {
  return {
    "aws:ssm/getParameter:getParameter": lookup({ name: z.string() }, async ({ name }) => {
      const command = new GetParameterCommand({ Name: name, WithDecryption: true });
      const { Parameter } = await listing(`reading SSM Parameter (${name})`, cloud.ssm.send(command));
      const { ARN, Type, Value = "", Version } = Parameter ?? {};
      const insecureValue = Type === "SecureString" ? "" : Value;
      return { id: name, arn: ARN, type: Type, version: Version, value: secret(Value), insecureValue };
    }),

    "aws:ec2/getAmi:getAmi": lookup({ filters, owners: z.array(z.string()).optional() }, async (args) => {
      const command = new DescribeImagesCommand({ Filters: filterList(args.filters), Owners: args.owners });
      const { Images } = await listing("reading EC2 AMIs", cloud.ec2.send(command));
      const image = onlyResult(Images);
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
        "reading EC2 Instance Type",
        cloud.ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: types })),
      );
      const type = only("EC2 Instance Type", answer.InstanceTypes);
      return {
        id: args.instanceType,
        burstablePerformanceSupported: type.BurstablePerformanceSupported,
        defaultVcpus: type.VCpuInfo?.DefaultVCpus,
        ebsNvmeSupport: type.EbsInfo?.NvmeSupport,
        gpuses: (type.GpuInfo?.Gpus ?? []).map(({ Count, Manufacturer, MemoryInfo, Name }) => ({
          count: Count,
          manufacturer: Manufacturer,
          memorySize: MemoryInfo?.SizeInMiB,
          name: Name,
        })),
        hypervisor: type.Hypervisor ?? "",
        instanceStorageSupported: type.InstanceStorageSupported,
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
        const { InstanceTypeOfferings: offerings = [] } = await calling(
          "reading EC2 Instance Type Offerings",
          cloud.ec2.send(command),
        );
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
        const answer = await calling("reading EC2 VPC", found(cloud.ec2.send(command)));
        const { VpcId, CidrBlock, IsDefault, State } = only("EC2 VPC", answer?.Vpcs);
        for (const Attribute of ["enableDnsHostnames", "enableDnsSupport"] as const)
          await calling(
            `reading EC2 VPC (${VpcId}) Attribute (${Attribute})`,
            cloud.ec2.send(new DescribeVpcAttributeCommand({ VpcId, Attribute })),
          );
        // Its failure is for the provider's log alone.
        const main = await cloud.ec2
          .send(mainRouteTable(VpcId ?? ""))
          .catch((): { RouteTables: RouteTable[] } => ({ RouteTables: [] }));
        return {
          id: VpcId,
          cidrBlock: CidrBlock,
          default: IsDefault,
          mainRouteTableId: main.RouteTables?.[0]?.RouteTableId ?? "",
          state: State,
        };
      },
    ),

    "aws:ec2/getSubnets:getSubnets": lookup({ filters }, async (args) => {
      const command = new DescribeSubnetsCommand({ Filters: filterList(args.filters) });
      const { Subnets: subnets = [] } = await listing("reading EC2 Subnets", cloud.ec2.send(command));
      return { id: cloud.region, ids: subnets.map(({ SubnetId = "" }) => SubnetId) };
    }),

    "aws:ec2/getSubnet:getSubnet": lookup({ filters, id: text }, async ({ id, ...args }) => {
      const command = new DescribeSubnetsCommand({
        SubnetIds: id ? [id] : undefined,
        Filters: filterList(args.filters),
      });
      const answer = await calling("reading EC2 Subnet", found(cloud.ec2.send(command)));
      const subnet = only("EC2 Subnet", answer?.Subnets);
      return {
        id: subnet.SubnetId,
        availabilityZone: subnet.AvailabilityZone,
        cidrBlock: subnet.CidrBlock,
        defaultForAz: subnet.DefaultForAz,
        mapPublicIpOnLaunch: subnet.MapPublicIpOnLaunch,
        vpcId: subnet.VpcId,
      };
    }),

    "aws:ec2/getRouteTable:getRouteTable": lookup(
      { filters, subnetId: text, vpcId: text, routeTableId: text },
      async ({ subnetId, vpcId, routeTableId, ...args }) => {
        const command = new DescribeRouteTablesCommand({
          Filters: filterList(args.filters, {
            "route-table-id": routeTableId,
            "vpc-id": vpcId,
            "association.subnet-id": subnetId,
          }),
        });
        const answer = await calling("reading Route Table", found(cloud.ec2.send(command)));
        return routeTableResult(only("Route Table", answer?.RouteTables));
      },
    ),

    "aws:servicequotas/getServiceQuota:getServiceQuota": lookup(
      { serviceCode: z.string(), quotaCode: z.string() },
      async ({ serviceCode, quotaCode }) => {
        const ids = { ServiceCode: serviceCode, QuotaCode: quotaCode };
        const what = "Service Quotas Service Quota";
        const standard = cloud.quotas.send(new GetAWSDefaultServiceQuotaCommand(ids));
        const { Quota: byDefault } = (await calling(`reading ${what}`, found(standard))) ?? {};
        if (!byDefault) throw new Error(`no matching ${what} found`);
        // An account has a value of its own only once it was given one.
        const asked = cloud.quotas.send(new GetServiceQuotaCommand(ids));
        const reading = `reading ${what} (${serviceCode}/${quotaCode})`;
        const { Quota: own } = (await calling(reading, found(asked))) ?? {};
        return {
          id: byDefault.QuotaArn,
          adjustable: byDefault.Adjustable,
          arn: (own ?? byDefault).QuotaArn,
          defaultValue: byDefault.Value,
          quotaName: byDefault.QuotaName,
          serviceName: byDefault.ServiceName,
          value: (own ?? byDefault).Value,
        };
      },
    ),

    "aws:ebs/getEbsVolumes:getEbsVolumes": lookup({ filters }, async (args) => {
      const command = new DescribeVolumesCommand({ Filters: filterList(args.filters) });
      const { Volumes: volumes = [] } = await listing("reading EBS Volumes", cloud.ec2.send(command));
      return { id: cloud.region, ids: volumes.map(({ VolumeId = "" }) => VolumeId) };
    }),

    "aws:ebs/getVolume:getVolume": lookup({ filters }, async (args) => {
      const command = new DescribeVolumesCommand({ Filters: filterList(args.filters) });
      const { Volumes } = await listing("reading EBS Volumes", cloud.ec2.send(command));
      const volume = onlyResult(Volumes);
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
        const { Reservations = [] } = await listing("reading EC2 Instances", cloud.ec2.send(command));
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
      const answer = await calling("reading EC2 Instance", found(cloud.ec2.send(command)));
      const all = answer?.Reservations?.flatMap(({ Instances = [] }) => Instances);
      const instance = only("EC2 Instance", all);
      const reading = `reading EC2 Instance (${instance.InstanceId})`;
      const devices = await calling(reading, blockDevices(cloud, instance));
      await calling(reading, attributes(cloud, instance));
      const { metadataOptions, ...outputs } = outputsOf(instance);
      const isRoot = ({ deviceName }: { deviceName?: string }) => deviceName === instance.RootDeviceName;
      return {
        id: instance.InstanceId,
        ...outputs,
        ebsBlockDevices: devices.filter((device) => !isRoot(device)),
        launchTime: instance.LaunchTime?.toISOString(),
        metadataOptions: metadataOptions ? [metadataOptions] : [],
        rootBlockDevices: devices.filter(isRoot),
        tags: tagMap(instance.Tags),
      };
    }),
  };
}

function mainRouteTable(vpc: string): DescribeRouteTablesCommand {
  return new DescribeRouteTablesCommand({
    Filters: filterList(undefined, { "association.main": "true", "vpc-id": vpc }),
  });
}

function routeTableResult({ RouteTableId, OwnerId, VpcId, ...table }: RouteTable): Properties {
  return {
    id: RouteTableId,
    associations: (table.Associations ?? []).map((each) => ({
      gatewayId: each.GatewayId ?? "",
      main: each.Main ?? false,
      routeTableAssociationId: each.RouteTableAssociationId,
      routeTableId: each.RouteTableId,
      subnetId: each.SubnetId ?? "",
    })),
    ownerId: OwnerId,
    routeTableId: RouteTableId,
    // The way within the network goes without saying.
    routes: (table.Routes ?? []).filter(({ GatewayId }) => GatewayId !== "local").map(routeResult),
    tags: tagMap(table.Tags),
    vpcId: VpcId,
  };
}

function routeResult(route: Route): Properties {
  const {
    GatewayId = "",
    EgressOnlyInternetGatewayId,
    NatGatewayId,
    NetworkInterfaceId,
    TransitGatewayId,
  } = route;
  return {
    carrierGatewayId: route.CarrierGatewayId ?? "",
    cidrBlock: route.DestinationCidrBlock ?? "",
    coreNetworkArn: route.CoreNetworkArn ?? "",
    destinationPrefixListId: route.DestinationPrefixListId ?? "",
    egressOnlyGatewayId: EgressOnlyInternetGatewayId ?? "",
    gatewayId: GatewayId.startsWith("vpce-") ? "" : GatewayId,
    instanceId: route.InstanceId ?? "",
    ipv6CidrBlock: route.DestinationIpv6CidrBlock ?? "",
    localGatewayId: route.LocalGatewayId ?? "",
    natGatewayId: NatGatewayId ?? "",
    networkInterfaceId: NetworkInterfaceId ?? "",
    transitGatewayId: TransitGatewayId ?? "",
    vpcEndpointId: GatewayId.startsWith("vpce-") ? GatewayId : "",
    vpcPeeringConnectionId: route.VpcPeeringConnectionId ?? "",
  };
}
