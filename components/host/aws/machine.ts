import * as aws from "@pulumi/aws";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { AwsHostArgs } from "./args.ts";
import { hostKey } from "./host-key.ts";
import type { AwsFindings } from "./inspect.ts";
import { permissions, type S3Prefix, sessionManagerPolicy, TRUST } from "./permissions.ts";
import { ROLE_TAG, STACK_TAG } from "./tags.ts";
import { userData } from "./user-data.ts";

/** What an `AwsMachine` is made from. */
export interface AwsMachineArgs {
  host: AwsHostArgs;
  found: AwsFindings;
  /** The person's public key, one line. */
  publicKey: string;
  /** What the machine may read of S3. */
  s3: S3Prefix[];
  /** `<project>/<stack>`: the tag on everything. */
  stack: string;
  provider: aws.Provider;
}

/**
 * The provider of everything on AWS.
 *
 * Few retries: with its own 25 it asks for close to an hour when a type has no capacity.
 */
export function awsProvider(name: string, host: AwsHostArgs, stack: string): aws.Provider {
  return new aws.Provider(name, {
    region: host.region as aws.Region,
    profile: host.profile,
    maxRetries: 5,
    defaultTags: { tags: { ...host.tags, [STACK_TAG]: stack } },
  });
}

/** An EC2 instance with its own firewall, role, address, host key and data volume. */
export class AwsMachine extends pulumi.ComponentResource {
  readonly instance: aws.ec2.Instance;
  /** Public address; the same after a stop, and for the next instance. */
  readonly address: pulumi.Output<string>;
  /** The key the machine shows to whoever connects: `ssh-ed25519 AAAA…`. */
  readonly hostPublicKey: pulumi.Output<string>;
  readonly dataVolume: pulumi.Output<string>;
  /** What makes instance, volume and address belong together; the machine can be reached and has its data once these are there. */
  readonly attachments: pulumi.Resource[];

  constructor(name: string, args: AwsMachineArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:host:AwsMachine", name, {}, opts);
    const { host, found } = args;
    const tags = { Name: args.stack };
    const child = { parent: this, provider: args.provider };

    const seed = new random.RandomPassword(
      `${name}-host-key`,
      { length: 64, special: false },
      { parent: this },
    ).result;
    this.hostPublicKey = pulumi.unsecret(seed.apply((text) => hostKey(text).publicKey));

    // Before the instance, and in no way derived from it: else the next instance would come with the next volume.
    const volume =
      "id" in host.dataVolume
        ? undefined
        : new aws.ebs.Volume(
            `${name}-data`,
            {
              availabilityZone: found.zone,
              size: host.dataVolume.size,
              type: "gp3",
              encrypted: true,
              finalSnapshot: !host.dataVolume.keep,
              tags: { ...tags, [ROLE_TAG]: "data" },
            },
            { ...child, retainOnDelete: host.dataVolume.keep },
          );
    this.dataVolume =
      "id" in host.dataVolume ? pulumi.output(host.dataVolume.id) : (volume as aws.ebs.Volume).id;

    const keyPair = new aws.ec2.KeyPair(`${name}-key`, { publicKey: args.publicKey, tags }, child);
    this.instance = new aws.ec2.Instance(
      `${name}-instance`,
      {
        ami: found.ami,
        instanceType: found.instanceType,
        availabilityZone: found.zone,
        subnetId: found.subnet,
        vpcSecurityGroupIds: [firewall(name, args, tags, child).id],
        iamInstanceProfile: instanceProfile(name, args, tags, child).name,
        keyName: keyPair.keyName,
        userDataBase64: pulumi.secret(seed.apply((text) => base64(userData(hostKey(text))))),
        // One hop: a container on Docker's bridge is one further away, and must not act as the machine.
        metadataOptions: { httpEndpoint: "enabled", httpTokens: "required", httpPutResponseHopLimit: 1 },
        rootBlockDevice: {
          volumeType: "gp3",
          volumeSize: Math.max(host.rootSize, found.imageSize),
          encrypted: true,
          deleteOnTermination: true,
          // Not `volumeTags`: those would be put on the data volume as well.
          tags: { ...host.tags, ...tags, [STACK_TAG]: args.stack },
        },
        // So that a machine that shuts itself down stops, and costs no more than its disks.
        instanceInitiatedShutdownBehavior: "stop",
        ...(host.spot ? { instanceMarketOptions: SPOT } : {}),
        tags,
      },
      {
        ...child,
        // A newer image, or a new way to start one, is no reason to throw a person's machine away.
        ignoreChanges: ["ami", "userDataBase64"],
        ...(volume ? { dependsOn: [volume] } : {}),
      },
    );

    const request = host.spot ? [cancelWithInstance(name, host, this.instance, this)] : [];

    const address = new aws.ec2.Eip(`${name}-address`, { domain: "vpc", tags }, child);
    this.address = address.publicIp;
    this.attachments = [
      new aws.ec2.EipAssociation(
        `${name}-address-association`,
        { allocationId: address.allocationId, instanceId: this.instance.id },
        { ...child, deletedWith: this.instance },
      ),
      new aws.ec2.VolumeAttachment(
        `${name}-data-attachment`,
        {
          deviceName: "/dev/sdf",
          instanceId: this.instance.id,
          volumeId: this.dataVolume,
          // Pulling a disk from under a machine that writes to it loses data.
          stopInstanceBeforeDetaching: true,
        },
        // A volume is at one machine at a time. Nothing is derived from this: all of it would be deleted first, too.
        // The request outlives this: without it AWS does not stop the machine, and it has to be stopped here.
        { ...child, deleteBeforeReplace: true, dependsOn: request },
      ),
    ];
    this.registerOutputs({ address: this.address, dataVolume: this.dataVolume });
  }
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

type Child = { parent: pulumi.Resource; provider: aws.Provider };
type Tags = Record<string, string>;

/** Spare capacity that can be stopped and started like any other: only a persistent request allows that. */
const SPOT = {
  marketType: "spot",
  spotOptions: { spotInstanceType: "persistent", instanceInterruptionBehavior: "stop" },
};

/** Sees to it that the request of a spot instance goes before the instance, so that nothing comes in its place. */
function cancelWithInstance(
  name: string,
  { region, profile = "" }: AwsHostArgs,
  instance: aws.ec2.Instance,
  parent: pulumi.Resource,
): pulumi.Resource {
  return new command.local.Command(
    `${name}-spot-request`,
    {
      // The engine's plugins work in the folder of the program's first file.
      delete: "node ../components/host/aws/cancel-spot-request.ts",
      interpreter: ["/bin/sh", "-c"],
      environment: {
        REGION: region,
        PROFILE: profile,
        REQUEST: instance.spotInstanceRequestId,
        INSTANCE: instance.id,
      },
      triggers: [instance.id],
    },
    { parent },
  );
}

/** One network may log in, or none, and that is all; Jupyter is reached through SSH. */
function firewall(name: string, { found }: AwsMachineArgs, tags: Tags, child: Child): aws.ec2.SecurityGroup {
  const group = new aws.ec2.SecurityGroup(
    `${name}-firewall`,
    { description: "gpubox: SSH from one network at most", vpcId: found.vpc, tags },
    child,
  );
  if (found.sshCidr !== undefined) {
    new aws.vpc.SecurityGroupIngressRule(
      `${name}-firewall-ssh`,
      {
        securityGroupId: group.id,
        description: "SSH",
        cidrIpv4: found.sshCidr,
        ipProtocol: "tcp",
        fromPort: 22,
        toPort: 22,
      },
      child,
    );
  }
  new aws.vpc.SecurityGroupEgressRule(
    `${name}-firewall-out`,
    { securityGroupId: group.id, description: "anywhere", cidrIpv4: "0.0.0.0/0", ipProtocol: "-1" },
    child,
  );
  return group;
}

/** What the machine may do in the account. */
function instanceProfile(
  name: string,
  { host, stack, s3 }: AwsMachineArgs,
  tags: Tags,
  child: Child,
): aws.iam.InstanceProfile {
  const role = new aws.iam.Role(
    `${name}-role`,
    { description: `gpubox: the machine of ${stack}`, assumeRolePolicy: JSON.stringify(TRUST), tags },
    child,
  );
  new aws.iam.RolePolicy(
    `${name}-role-policy`,
    { role: role.name, policy: JSON.stringify(permissions({ region: host.region, stack, s3 })) },
    child,
  );
  if (host.access === "session-manager") {
    new aws.iam.RolePolicyAttachment(
      `${name}-role-session-manager`,
      { role: role.name, policyArn: sessionManagerPolicy(host.region) },
      child,
    );
  }
  return new aws.iam.InstanceProfile(`${name}-profile`, { role: role.name, tags }, child);
}
