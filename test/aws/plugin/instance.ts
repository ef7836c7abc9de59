/** Key pair and instance. */
import {
  AssociateIamInstanceProfileCommand,
  CreateTagsCommand,
  DeleteKeyPairCommand,
  DescribeIamInstanceProfileAssociationsCommand,
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DisassociateIamInstanceProfileCommand,
  ImportKeyPairCommand,
  type Instance,
  type _InstanceType as InstanceType,
  ModifyInstanceAttributeCommand,
  ModifyInstanceMetadataOptionsCommand,
  ModifyVolumeCommand,
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
import { type Cloud, tagList } from "./cloud.ts";
import { calling, found } from "./errors.ts";
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
      await calling(`importing EC2 Key Pair (${keyName})`, "EC2", "ImportKeyPair", cloud.ec2.send(command));
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
const STOPPED = /^(instanceType|userDataBase64)$/;

const patience = { maxWaitTime: 600, minDelay: 1, maxDelay: 3 };

export function instance(cloud: Cloud): Resource {
  const wait = {
    running: (id: string) =>
      waitUntilInstanceRunning({ client: cloud.ec2, ...patience }, { InstanceIds: [id] }),
    stopped: (id: string) =>
      waitUntilInstanceStopped({ client: cloud.ec2, ...patience }, { InstanceIds: [id] }),
  };
  return awsResource<InstanceInputs>(cloud, {
    inputs,
    outputs: [
      "arn",
      "availabilityZone",
      "instanceState",
      "primaryNetworkInterfaceId",
      "privateDns",
      "privateIp",
      "publicDns",
      "publicIp",
      "spotInstanceRequestId",
      "subnetId",
      "vpcSecurityGroupIds",
    ],
    replaces: (path, { userDataReplaceOnChange }) =>
      REPLACED.test(path) || (userDataReplaceOnChange === true && path === "userDataBase64"),
    retag: retagEc2(cloud),
    async create(inputs, tags) {
      const command = new RunInstancesCommand(launch(inputs, tags));
      const answer = await calling("creating EC2 Instance", "EC2", "RunInstances", cloud.ec2.send(command));
      const id = answer.Instances?.[0]?.InstanceId ?? "";
      await wait.running(id);
      const rootTags = cloud.tags(inputs.rootBlockDevice?.tags);
      const root = rootVolume(await instanceOf(cloud, id));
      if (root && Object.keys(rootTags).length > 0)
        await cloud.ec2.send(new CreateTagsCommand({ Resources: [root], Tags: tagList(rootTags) }));
      return id;
    },
    async read(id) {
      const now = await instanceOf(cloud, id);
      return now && outputsOf(now);
    },
    async update(id, inputs, changed) {
      const stopping = changed.some((path) => STOPPED.test(path));
      const wasRunning = (await instanceOf(cloud, id))?.State?.Name === "running";
      if (stopping && wasRunning) {
        await cloud.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
        await wait.stopped(id);
      }
      await modify(cloud, id, inputs, new Set(changed.map((path) => path.split(/\W/)[0] as string)));
      if (stopping && wasRunning) {
        const command = new StartInstancesCommand({ InstanceIds: [id] });
        await calling(`starting EC2 Instance (${id})`, "EC2", "StartInstances", cloud.ec2.send(command));
        await wait.running(id);
      }
    },
    async delete(id) {
      if (!(await instanceOf(cloud, id))) return;
      await cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
      await waitUntilInstanceTerminated({ client: cloud.ec2, ...patience }, { InstanceIds: [id] });
    },
  });
}

function launch(inputs: InstanceInputs, tags: Tags): RunInstancesCommandInput {
  const { metadataOptions: metadata, rootBlockDevice: root, instanceMarketOptions: market } = inputs;
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
    ...tagged("instance", tags),
  };
}

async function modify(cloud: Cloud, id: string, inputs: InstanceInputs, changed: Set<string>): Promise<void> {
  const attribute = (values: object) =>
    cloud.ec2.send(new ModifyInstanceAttributeCommand({ InstanceId: id, ...values }));
  if (changed.has("instanceType")) await attribute({ InstanceType: { Value: inputs.instanceType } });
  if (changed.has("userDataBase64"))
    await attribute({ UserData: { Value: Buffer.from(inputs.userDataBase64 ?? "", "base64") } });
  if (changed.has("instanceInitiatedShutdownBehavior")) {
    const Value = inputs.instanceInitiatedShutdownBehavior ?? "stop";
    await attribute({ InstanceInitiatedShutdownBehavior: { Value } });
  }
  if (changed.has("vpcSecurityGroupIds")) await attribute({ Groups: inputs.vpcSecurityGroupIds });
  if (changed.has("metadataOptions")) {
    const { httpEndpoint, httpTokens, httpPutResponseHopLimit } = inputs.metadataOptions ?? {};
    await cloud.ec2.send(
      new ModifyInstanceMetadataOptionsCommand({
        InstanceId: id,
        HttpEndpoint: httpEndpoint,
        HttpTokens: httpTokens,
        HttpPutResponseHopLimit: httpPutResponseHopLimit,
      }),
    );
  }
  if (changed.has("iamInstanceProfile")) await changeProfile(cloud, id, inputs.iamInstanceProfile);
  if (changed.has("rootBlockDevice")) await changeRoot(cloud, id, inputs.rootBlockDevice);
}

async function changeProfile(cloud: Cloud, id: string, name: string | undefined): Promise<void> {
  const Filters = [{ Name: "instance-id", Values: [id] }];
  const answer = await cloud.ec2.send(new DescribeIamInstanceProfileAssociationsCommand({ Filters }));
  for (const { AssociationId } of answer.IamInstanceProfileAssociations ?? [])
    await cloud.ec2.send(new DisassociateIamInstanceProfileCommand({ AssociationId }));
  if (!name) return;
  const IamInstanceProfile = { Name: name };
  await cloud.ec2.send(new AssociateIamInstanceProfileCommand({ InstanceId: id, IamInstanceProfile }));
}

async function changeRoot(
  cloud: Cloud,
  id: string,
  root: InstanceInputs["rootBlockDevice"] = {},
): Promise<void> {
  const VolumeId = rootVolume(await instanceOf(cloud, id));
  const { volumeSize: Size, iops: Iops, throughput: Throughput } = root;
  const VolumeType = root.volumeType as "gp3";
  await cloud.ec2.send(new ModifyVolumeCommand({ VolumeId, Size, VolumeType, Iops, Throughput }));
  await retagEc2(cloud)(VolumeId ?? "", cloud.tags(root.tags), []);
}

/** The instance; undefined when there is none of the id, or it is terminated. */
async function instanceOf(cloud: Cloud, id: string): Promise<Instance | undefined> {
  const answer = await found(cloud.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] })));
  const now = answer?.Reservations?.[0]?.Instances?.[0];
  return now?.State?.Name === "terminated" ? undefined : now;
}

function rootVolume(now: Instance | undefined): string | undefined {
  return now?.BlockDeviceMappings?.find(({ DeviceName }) => DeviceName === now.RootDeviceName)?.Ebs?.VolumeId;
}

/** An instance as the plugin's outputs have it. */
export function outputsOf(now: Instance): Properties {
  return {
    ami: now.ImageId,
    availabilityZone: now.Placement?.AvailabilityZone,
    instanceState: now.State?.Name,
    instanceType: now.InstanceType,
    keyName: now.KeyName,
    primaryNetworkInterfaceId: now.NetworkInterfaces?.[0]?.NetworkInterfaceId,
    privateDns: now.PrivateDnsName,
    privateIp: now.PrivateIpAddress,
    publicDns: now.PublicDnsName ?? "",
    publicIp: now.PublicIpAddress ?? "",
    spotInstanceRequestId: now.SpotInstanceRequestId ?? "",
    subnetId: now.SubnetId,
    vpcSecurityGroupIds: now.SecurityGroups?.map(({ GroupId = "" }) => GroupId),
  };
}
