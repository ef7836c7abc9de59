/** Key pair and instance. */
import {
  AssociateIamInstanceProfileCommand,
  CancelSpotInstanceRequestsCommand,
  CreateTagsCommand,
  DeleteKeyPairCommand,
  DescribeIamInstanceProfileAssociationsCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstanceCreditSpecificationsCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  DescribeKeyPairsCommand,
  DescribeSpotInstanceRequestsCommand,
  DescribeTagsCommand,
  DescribeVolumesCommand,
  DescribeVolumesModificationsCommand,
  DescribeVpcsCommand,
  DisassociateIamInstanceProfileCommand,
  ImportKeyPairCommand,
  type Instance,
  type InstanceAttributeName,
  type _InstanceType as InstanceType,
  ModifyInstanceAttributeCommand,
  ModifyInstanceMetadataOptionsCommand,
  ModifyNetworkInterfaceAttributeCommand,
  ModifyVolumeCommand,
  ReplaceIamInstanceProfileAssociationCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  type ShutdownBehavior,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilInstanceStopped,
  waitUntilInstanceTerminated,
} from "@aws-sdk/client-ec2";
import { z } from "zod";
import type { Resource } from "../../../offline/plugins/shared/provider.ts";
import type { Properties } from "../../../offline/plugins/shared/values.ts";
import { type Cloud, tagList, tagMap } from "./cloud.ts";
import { calling, found, MISSING } from "./errors.ts";
import { tagged } from "./network.ts";
import { awsResource, retagEc2, type Tags } from "./resource.ts";

export function keyPair(cloud: Cloud): Resource {
  return awsResource<{ keyName: string; publicKey: string }>(cloud, {
    inputs: { keyName: z.string(), publicKey: z.string() },
    nameInput: "keyName",
    outputs: ["arn", "fingerprint", "keyPairId", "keyType"],
    replaces: (path) => ["keyName", "publicKey"].includes(path),
    // The id of a key pair is its name; its tags hang on another id.
    retag: async (name, set, removed) => {
      const pair = await keyPairOf(cloud, name);
      await retagEc2(cloud)(pair?.KeyPairId ?? name, set, removed);
    },
    async create({ keyName, publicKey }, tags) {
      const command = new ImportKeyPairCommand({
        KeyName: keyName,
        PublicKeyMaterial: Buffer.from(publicKey),
        ...tagged("key-pair", tags),
      });
      await calling(`importing EC2 Key Pair (${keyName})`, cloud.ec2.send(command));
      return keyName;
    },
    async read(name) {
      const pair = await keyPairOf(cloud, name);
      return pair && { fingerprint: pair.KeyFingerprint, keyPairId: pair.KeyPairId, keyType: pair.KeyType };
    },
    async delete(KeyName) {
      await found(cloud.ec2.send(new DeleteKeyPairCommand({ KeyName })));
    },
  });
}

async function keyPairOf(cloud: Cloud, name: string) {
  const answer = await found(cloud.ec2.send(new DescribeKeyPairsCommand({ KeyNames: [name] })));
  return answer?.KeyPairs?.[0];
}

const inputs = {
  ami: z.string(),
  instanceType: z.string(),
  availabilityZone: z.string().optional(),
  subnetId: z.string().optional(),
  vpcSecurityGroupIds: z.array(z.string()).optional(),
  iamInstanceProfile: z.string().optional(),
  keyName: z.string().optional(),
  userDataBase64: z.string().optional(),
  userDataReplaceOnChange: z.boolean().optional(),
  instanceInitiatedShutdownBehavior: z.enum(["stop", "terminate"]).optional(),
  metadataOptions: z
    .strictObject({
      httpEndpoint: z.enum(["enabled", "disabled"]).optional(),
      httpTokens: z.enum(["optional", "required"]).optional(),
      httpPutResponseHopLimit: z.int().min(1).max(64).optional(),
    })
    .optional(),
  rootBlockDevice: z
    .strictObject({
      volumeType: z.string().optional(),
      volumeSize: z.int().optional(),
      encrypted: z.boolean().optional(),
      deleteOnTermination: z.boolean().optional(),
      iops: z.int().optional(),
      throughput: z.int().optional(),
      tags: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
  instanceMarketOptions: z
    .strictObject({
      marketType: z.literal("spot"),
      spotOptions: z
        .strictObject({
          spotInstanceType: z.enum(["one-time", "persistent"]).optional(),
          instanceInterruptionBehavior: z.enum(["hibernate", "stop", "terminate"]).optional(),
          maxPrice: z.string().optional(),
          validUntil: z.string().optional(),
        })
        .optional(),
    })
    .optional(),
} as const satisfies z.ZodRawShape;

type InstanceInputs = z.infer<z.ZodObject<typeof inputs>>;

/** What a new instance is needed for; everything else is changed in place, some of it while it is stopped. */
const REPLACED =
  /^(ami|availabilityZone|subnetId|keyName|instanceMarketOptions.*|rootBlockDevice\.encrypted)$/;

const patience = { maxWaitTime: 600, minDelay: 1, maxDelay: 3 };

export function instance(cloud: Cloud): Resource {
  return awsResource<InstanceInputs>(cloud, {
    inputs,
    outputs: [
      "ami",
      "arn",
      "availabilityZone",
      "iamInstanceProfile",
      "instanceInitiatedShutdownBehavior",
      "instanceLifecycle",
      "instanceMarketOptions",
      "instanceState",
      "instanceType",
      "keyName",
      "metadataOptions",
      "primaryNetworkInterfaceId",
      "privateDns",
      "privateIp",
      "publicDns",
      "publicIp",
      "rootBlockDevice",
      "spotInstanceRequestId",
      "subnetId",
      "userDataBase64",
      "vpcSecurityGroupIds",
    ],
    removable: /^rootBlockDevice\.tags\b/,
    replaces: (path, { userDataReplaceOnChange }) =>
      REPLACED.test(path) || (userDataReplaceOnChange === true && path === "userDataBase64"),
    retag: retagEc2(cloud),
    async create(inputs, tags) {
      const command = new RunInstancesCommand(launch(inputs, tags, cloud.tags({})));
      const answer = await calling("creating EC2 Instance", cloud.ec2.send(command));
      return answer.Instances?.[0]?.InstanceId ?? "";
    },
    async settle(id, { rootBlockDevice, instanceInitiatedShutdownBehavior: Value }) {
      const waiting = waitUntilInstanceRunning({ client: cloud.ec2, ...patience }, { InstanceIds: [id] });
      await calling(`waiting for EC2 Instance (${id}) create`, waiting);
      const root = rootOf(await instanceOf(cloud, id));
      const Tags = tagList(rootBlockDevice?.tags ?? {});
      // A failure of this one is for the provider's log alone.
      if (root && Tags.length > 0)
        await cloud.ec2.send(new CreateTagsCommand({ Resources: [root], Tags })).catch(() => {});
      if (Value)
        await modifyAttribute(cloud, id, "InstanceInitiatedShutdownBehavior", {
          InstanceInitiatedShutdownBehavior: { Value },
        });
    },
    async read(id, state) {
      const reading = `reading EC2 Instance (${id})`;
      const now = await calling(reading, instanceOf(cloud, id));
      if (!now) return undefined;
      const { lifecycle, ...details } = await described(cloud, now);
      const { tags, ...root } = (details.root ?? {}) as { tags?: Tags };
      const before = state.rootBlockDevice as { tags?: Tags } | undefined;
      const rootTags = cloud.ownTags(tags ?? {}, before?.tags);
      return {
        ...outputsOf(now),
        arn: cloud.arn("instance", id),
        ...lifecycle,
        instanceInitiatedShutdownBehavior: details.shutdown,
        rootBlockDevice: {
          ...root,
          tagsAll: tags ?? {},
          ...(Object.keys(rootTags).length > 0 && { tags: rootTags }),
        },
        ...(state.userDataBase64 !== undefined && { userDataBase64: details.userData }),
        ...(details.credit && { creditSpecification: { cpuCredits: details.credit } }),
      };
    },
    update: (id, inputs, changed, state) => modify(cloud, id, inputs, changed, state),
    async delete(id, { instanceLifecycle, spotInstanceRequestId }) {
      if (instanceLifecycle === "spot") {
        const SpotInstanceRequestIds = [String(spotInstanceRequestId)];
        await calling(
          `cancelling EC2 Spot Fleet Request (${spotInstanceRequestId})`,
          cloud.ec2.send(new CancelSpotInstanceRequestsCommand({ SpotInstanceRequestIds })),
        );
      }
      const command = new TerminateInstancesCommand({ InstanceIds: [id] });
      const answer = await calling(`terminating EC2 Instance (${id})`, found(cloud.ec2.send(command)));
      if (answer)
        await waitUntilInstanceTerminated({ client: cloud.ec2, ...patience }, { InstanceIds: [id] });
    },
  });
}

function launch(inputs: InstanceInputs, tags: Tags, volumeTags: Tags): RunInstancesCommandInput {
  const { metadataOptions: metadata, rootBlockDevice: root, instanceMarketOptions: market } = inputs;
  const specifications = [tagged("instance", tags), tagged("volume", volumeTags)];
  return {
    MinCount: 1,
    MaxCount: 1,
    ImageId: inputs.ami,
    InstanceType: inputs.instanceType as InstanceType,
    KeyName: inputs.keyName,
    UserData: inputs.userDataBase64,
    SubnetId: inputs.subnetId,
    SecurityGroupIds: inputs.vpcSecurityGroupIds,
    InstanceInitiatedShutdownBehavior: inputs.instanceInitiatedShutdownBehavior as ShutdownBehavior,
    ...(inputs.availabilityZone && { Placement: { AvailabilityZone: inputs.availabilityZone } }),
    ...(inputs.iamInstanceProfile && { IamInstanceProfile: { Name: inputs.iamInstanceProfile } }),
    ...(inputs.instanceType.startsWith("t3") && { CreditSpecification: { CpuCredits: "unlimited" } }),
    ...(metadata && {
      MetadataOptions: {
        HttpEndpoint: metadata.httpEndpoint,
        HttpTokens: metadata.httpTokens,
        HttpPutResponseHopLimit: metadata.httpPutResponseHopLimit,
      },
    }),
    ...(root && {
      BlockDeviceMappings: [
        {
          DeviceName: "/dev/sda1",
          Ebs: {
            VolumeType: root.volumeType as "gp3",
            VolumeSize: root.volumeSize,
            Encrypted: root.encrypted,
            DeleteOnTermination: root.deleteOnTermination ?? true,
            Iops: root.iops,
            Throughput: root.throughput,
          },
        },
      ],
    }),
    ...(market && {
      InstanceMarketOptions: {
        MarketType: market.marketType,
        SpotOptions: market.spotOptions && {
          SpotInstanceType: market.spotOptions.spotInstanceType,
          InstanceInterruptionBehavior: market.spotOptions.instanceInterruptionBehavior,
          MaxPrice: market.spotOptions.maxPrice,
        },
      },
    }),
    TagSpecifications: specifications.flatMap(({ TagSpecifications = [] }) => TagSpecifications),
  };
}

/** What the official plugin asks for beyond the instance itself, whenever it reads one of its own. */
async function described(cloud: Cloud, now: Instance) {
  const id = now.InstanceId ?? "";
  // Whether it came of a launch template, which is told by a tag.
  const Filters = [
    { Name: "resource-id", Values: [id] },
    { Name: "key", Values: ["aws:ec2launchtemplate:id"] },
  ];
  await calling(
    `reading EC2 Instance (${id}) launch template`,
    cloud.ec2.send(new DescribeTagsCommand({ Filters })),
  );
  const shutdown = await attributeOf(cloud, id, "instanceInitiatedShutdownBehavior");
  const root = (await blockDevices(cloud, now)).find(({ volumeId }) => volumeId === rootOf(now));
  return {
    ...(await attributes(cloud, now)),
    shutdown: shutdown.InstanceInitiatedShutdownBehavior?.Value,
    root,
    lifecycle: await lifecycleOf(cloud, now),
  };
}

/** What it asks for when it looks one up, too. */
export async function attributes(cloud: Cloud, now: Instance) {
  const id = now.InstanceId ?? "";
  const InstanceTypes = [now.InstanceType as InstanceType];
  const types = await calling(
    `reading EC2 Instance Type (${now.InstanceType})`,
    cloud.ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes })),
  );
  // Whether its VPC is the default one. A failure is for the provider's log alone.
  await cloud.ec2.send(new DescribeVpcsCommand({ VpcIds: [now.VpcId ?? ""] })).catch(() => {});
  await attributeOf(cloud, id, "disableApiStop");
  await attributeOf(cloud, id, "disableApiTermination");
  const { UserData } = await attributeOf(cloud, id, "userData");
  const burstable = types.InstanceTypes?.[0]?.BurstablePerformanceSupported;
  return { userData: UserData?.Value, credit: burstable ? await creditOf(cloud, id) : undefined };
}

function attributeOf(cloud: Cloud, InstanceId: string, Attribute: InstanceAttributeName) {
  const command = new DescribeInstanceAttributeCommand({ InstanceId, Attribute });
  return calling(`getting attribute (${Attribute})`, cloud.ec2.send(command));
}

/** Every volume of an instance, as outputs have them, with all of its tags. */
export async function blockDevices(cloud: Cloud, { InstanceId, BlockDeviceMappings = [] }: Instance) {
  const VolumeIds = BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.VolumeId ?? []);
  if (VolumeIds.length === 0) return [];
  const { Volumes = [] } = await calling(
    `reading EC2 Instance (${InstanceId}): reading block devices`,
    cloud.ec2.send(new DescribeVolumesCommand({ VolumeIds })),
  );
  return Volumes.map((volume) => {
    const mapping = BlockDeviceMappings.find(({ Ebs }) => Ebs?.VolumeId === volume.VolumeId);
    return {
      deleteOnTermination: mapping?.Ebs?.DeleteOnTermination,
      deviceName: mapping?.DeviceName,
      encrypted: volume.Encrypted,
      iops: volume.Iops,
      kmsKeyId: volume.KmsKeyId,
      tags: tagMap(volume.Tags),
      throughput: volume.Throughput,
      volumeId: volume.VolumeId,
      volumeSize: volume.Size,
      volumeType: volume.VolumeType,
    };
  });
}

async function creditOf(cloud: Cloud, id: string): Promise<string | undefined> {
  const { InstanceCreditSpecifications } = await calling(
    `reading EC2 Instance (${id}) credit specification`,
    cloud.ec2.send(new DescribeInstanceCreditSpecificationsCommand({ InstanceIds: [id] })),
  );
  return InstanceCreditSpecifications?.[0]?.CpuCredits;
}

/** What makes a spot instance one. */
async function lifecycleOf(
  cloud: Cloud,
  { InstanceLifecycle, SpotInstanceRequestId }: Instance,
): Promise<Properties> {
  if (!InstanceLifecycle || !SpotInstanceRequestId)
    return { instanceLifecycle: "", spotInstanceRequestId: "" };
  const SpotInstanceRequestIds = [SpotInstanceRequestId];
  const reading = `reading EC2 Spot Instance Request (${SpotInstanceRequestId})`;
  const answer = await calling(
    reading,
    found(cloud.ec2.send(new DescribeSpotInstanceRequestsCommand({ SpotInstanceRequestIds }))),
  );
  const request = answer?.SpotInstanceRequests?.[0];
  if (!request?.Status) throw new Error(`${reading}: ${MISSING}`);
  return {
    instanceLifecycle: InstanceLifecycle,
    spotInstanceRequestId: SpotInstanceRequestId,
    instanceMarketOptions: {
      marketType: "spot",
      spotOptions: {
        instanceInterruptionBehavior: request.InstanceInterruptionBehavior,
        spotInstanceType: request.Type,
        maxPrice: request.SpotPrice,
        ...(request.ValidUntil && { validUntil: request.ValidUntil.toISOString() }),
      },
    },
  };
}

async function modifyAttribute(cloud: Cloud, id: string, name: string, values: object): Promise<void> {
  const command = new ModifyInstanceAttributeCommand({ InstanceId: id, ...values });
  await calling(`modifying EC2 Instance (${id}) ${name} attribute`, cloud.ec2.send(command));
}

async function modify(
  cloud: Cloud,
  id: string,
  inputs: InstanceInputs,
  changed: string[],
  state: Properties,
): Promise<void> {
  const has = (path: string) =>
    changed.some((each) => each === path || each.startsWith(`${path}.`) || each.startsWith(`${path}[`));
  const updating = `updating EC2 Instance (${id})`;
  if (has("iamInstanceProfile"))
    await calling(updating, changeProfile(cloud, id, inputs.iamInstanceProfile, state.instanceState));
  if (has("vpcSecurityGroupIds")) {
    const now = await instanceOf(cloud, id);
    const NetworkInterfaceId = now?.NetworkInterfaces?.[0]?.NetworkInterfaceId;
    const command = new ModifyNetworkInterfaceAttributeCommand({
      NetworkInterfaceId,
      Groups: inputs.vpcSecurityGroupIds,
    });
    await calling(`${updating}: modifying network interface`, cloud.ec2.send(command));
  }
  if (has("instanceType")) {
    const Value = inputs.instanceType;
    const change = () => modifyAttribute(cloud, id, `InstanceType (${Value})`, { InstanceType: { Value } });
    await calling(`${updating} type`, whileStopped(cloud, id, change));
  }
  if (has("userDataBase64")) {
    const Value = Buffer.from(inputs.userDataBase64 ?? "", "base64");
    const change = () => modifyAttribute(cloud, id, "UserData (base64)", { UserData: { Value } });
    await calling(`${updating} user data base64`, whileStopped(cloud, id, change));
  }
  if (has("instanceInitiatedShutdownBehavior"))
    await modifyAttribute(cloud, id, "InstanceInitiatedShutdownBehavior", {
      InstanceInitiatedShutdownBehavior: { Value: inputs.instanceInitiatedShutdownBehavior },
    });
  if (has("metadataOptions")) {
    const { httpEndpoint, httpTokens, httpPutResponseHopLimit } = inputs.metadataOptions ?? {};
    const command = new ModifyInstanceMetadataOptionsCommand({
      InstanceId: id,
      HttpEndpoint: httpEndpoint,
      HttpTokens: httpTokens,
      HttpPutResponseHopLimit: httpPutResponseHopLimit,
    });
    await calling(`${updating} metadata options`, cloud.ec2.send(command));
  }
  if (has("rootBlockDevice")) await changeRoot(cloud, id, inputs.rootBlockDevice ?? {}, has, state);
}

/** Changes what can be changed of a stopped instance only. Whether it ran before or not, it does so afterwards. */
async function whileStopped(cloud: Cloud, id: string, change: () => Promise<void>): Promise<void> {
  const ids = { InstanceIds: [id] };
  const waiter = { client: cloud.ec2, ...patience };
  await calling(`stopping EC2 Instance (${id})`, cloud.ec2.send(new StopInstancesCommand(ids)));
  await calling(`waiting for EC2 Instance (${id}) stop`, waitUntilInstanceStopped(waiter, ids));
  await change();
  await calling(`starting EC2 Instance (${id})`, cloud.ec2.send(new StartInstancesCommand(ids)));
  await calling(`waiting for EC2 Instance (${id}) start`, waitUntilInstanceRunning(waiter, ids));
}

async function changeProfile(cloud: Cloud, id: string, name: string | undefined, state: unknown) {
  const Filters = [{ Name: "instance-id", Values: [id] }];
  const answer = await cloud.ec2.send(new DescribeIamInstanceProfileAssociationsCommand({ Filters }));
  const AssociationId = answer.IamInstanceProfileAssociations?.[0]?.AssociationId;
  const IamInstanceProfile = { Name: name };
  if (AssociationId && name && state === "running") {
    const replacement = { AssociationId, IamInstanceProfile };
    await cloud.ec2.send(new ReplaceIamInstanceProfileAssociationCommand(replacement));
    return;
  }
  if (AssociationId) await cloud.ec2.send(new DisassociateIamInstanceProfileCommand({ AssociationId }));
  if (name)
    await cloud.ec2.send(new AssociateIamInstanceProfileCommand({ InstanceId: id, IamInstanceProfile }));
}

async function changeRoot(
  cloud: Cloud,
  id: string,
  root: NonNullable<InstanceInputs["rootBlockDevice"]>,
  has: (path: string) => boolean,
  state: Properties,
): Promise<void> {
  const before = (state.rootBlockDevice ?? {}) as { volumeId?: string; deviceName?: string; tags?: Tags };
  const VolumeId = before.volumeId ?? "";
  const change = {
    ...(has("rootBlockDevice.volumeSize") && { Size: root.volumeSize }),
    ...(has("rootBlockDevice.volumeType") && { VolumeType: root.volumeType as "gp3" }),
    ...(has("rootBlockDevice.iops") && { Iops: root.iops }),
    ...(has("rootBlockDevice.throughput") && { Throughput: root.throughput }),
  };
  if (Object.keys(change).length > 0) {
    const what = `EC2 Instance (${id}) volume (${VolumeId})`;
    await calling(`updating ${what}`, cloud.ec2.send(new ModifyVolumeCommand({ VolumeId, ...change })));
    const command = new DescribeVolumesModificationsCommand({ VolumeIds: [VolumeId] });
    await calling(`waiting for ${what} update`, cloud.ec2.send(command));
  }
  if (has("rootBlockDevice.deleteOnTermination")) {
    const Ebs = { DeleteOnTermination: root.deleteOnTermination };
    await modifyAttribute(cloud, id, `BlockDeviceMappings (${before.deviceName})`, {
      BlockDeviceMappings: [{ DeviceName: before.deviceName, Ebs }],
    });
  }
  if (has("rootBlockDevice.tags")) {
    const tags = root.tags ?? {};
    const removed = Object.keys(before.tags ?? {}).filter((key) => !(key in tags));
    await calling(
      `updating tags for volume (${VolumeId})`,
      Promise.resolve(retagEc2(cloud)(VolumeId, tags, removed)),
    );
  }
}

/** The instance; undefined when there is none of the id, or it is terminated. */
async function instanceOf(cloud: Cloud, id: string): Promise<Instance | undefined> {
  const answer = await found(cloud.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] })));
  const now = answer?.Reservations?.[0]?.Instances?.[0];
  return now?.State?.Name === "terminated" ? undefined : now;
}

function rootOf({ BlockDeviceMappings = [], RootDeviceName }: Instance = {}): string | undefined {
  return BlockDeviceMappings.find(({ DeviceName }) => DeviceName === RootDeviceName)?.Ebs?.VolumeId;
}

/** What an instance says of itself, as outputs have it. */
export function outputsOf(now: Instance): Properties {
  const { HttpEndpoint, HttpTokens, HttpPutResponseHopLimit } = now.MetadataOptions ?? {};
  return {
    ami: now.ImageId,
    availabilityZone: now.Placement?.AvailabilityZone,
    // Its name is the last part of its ARN.
    iamInstanceProfile: now.IamInstanceProfile?.Arn?.split("/").at(-1),
    instanceState: now.State?.Name,
    instanceType: now.InstanceType,
    keyName: now.KeyName,
    ...(now.MetadataOptions && {
      metadataOptions: {
        httpEndpoint: HttpEndpoint,
        httpTokens: HttpTokens,
        httpPutResponseHopLimit: HttpPutResponseHopLimit,
      },
    }),
    primaryNetworkInterfaceId: now.NetworkInterfaces?.[0]?.NetworkInterfaceId,
    privateDns: now.PrivateDnsName,
    privateIp: now.PrivateIpAddress,
    publicDns: now.PublicDnsName ?? "",
    publicIp: now.PublicIpAddress ?? "",
    subnetId: now.SubnetId,
    vpcSecurityGroupIds: now.SecurityGroups?.map(({ GroupId = "" }) => GroupId),
  };
}
