import * as aws from "@pulumi/aws";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { AwsHostArgs } from "../../../config/host/aws.ts";
import { permissions, type S3Prefix, sessionManagerPolicy, TRUST } from "../../../machine/aws/permissions.ts";
import { DATA_REMOVAL, ROLE_TAG, STACK_TAG } from "../../../machine/aws/tags.ts";
import { hostKey } from "./host-key.ts";
import type { AwsFindings } from "./inspect.ts";
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
 * Few retries: with its own 25 it asks for close to an hour when a type has no capacity. No default tags: how they come to the system
 * disk of an instance, and whether they are seen there, differs between versions of the provider (terraform-provider-aws #36448, #38301).
 */
export function awsProvider(name: string, host: AwsHostArgs): aws.Provider {
  return new aws.Provider(name, { region: host.region as aws.Region, profile: host.profile, maxRetries: 5 });
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
  /** What ties a resource on the machine to its life: both go together, and the next machine has its own. */
  readonly lifetime: Pick<pulumi.CustomResourceOptions, "replaceWith" | "deletedWith">;

  constructor(name: string, args: AwsMachineArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:host:AwsMachine", name, {}, opts);
    const { host, found } = args;
    const tags = { ...host.tags, Name: args.stack, [STACK_TAG]: args.stack };
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
              tags: { ...tags, [ROLE_TAG]: "data" },
            },
            // It holds a person's work: the engine never deletes it. `removal` does, where that is asked for.
            { ...child, retainOnDelete: true, ignoreChanges: ["finalSnapshot"] },
          );
    this.dataVolume =
      "id" in host.dataVolume ? pulumi.output(host.dataVolume.id) : (volume as aws.ebs.Volume).id;
    const removal = volume ? [removeWithStack(name, host, volume, { tags, parent: this })] : [];

    const keyPair = new aws.ec2.KeyPair(`${name}-key`, { publicKey: args.publicKey, tags }, child);
    this.instance = new aws.ec2.Instance(
      `${name}-instance`,
      {
        ami: found.ami,
        instanceType: found.instanceType,
        availabilityZone: found.zone,
        subnetId: found.subnet,
        vpcSecurityGroupIds: [firewall(name, args, tags, child).id],
        iamInstanceProfile: instanceProfile(name, args, tags, child)?.name,
        keyName: keyPair.keyName,
        userDataBase64: pulumi.secret(seed.apply((text) => base64(userData(hostKey(text))))),
        // One hop: a container on Docker's bridge is one further away, and must not act as the machine.
        metadataOptions: { httpEndpoint: "enabled", httpTokens: "required", httpPutResponseHopLimit: 1 },
        rootBlockDevice: {
          volumeType: "gp3",
          volumeSize: found.rootSize,
          encrypted: true,
          deleteOnTermination: true,
          // Not `volumeTags`: those would be put on the data volume as well.
          tags,
        },
        // So that a machine that shuts itself down stops, and costs no more than its disks.
        instanceInitiatedShutdownBehavior: "stop",
        ...(host.spot ? { instanceMarketOptions: SPOT } : {}),
        tags,
      },
      {
        ...child,
        // A new way to start a machine is no reason to throw a person's away.
        ignoreChanges: ["userDataBase64"],
        replacementTrigger: kindOf(host, found),
        // An account may be granted no more than the one.
        deleteBeforeReplace: true,
        ...(volume ? { dependsOn: [volume] } : {}),
      },
    );

    // The engine does not take for deleted what it deletes for another to come. This does nothing, and goes with the instance either way.
    const tie = new command.local.Command(
      `${name}-life`,
      { triggers: [this.instance.id] },
      { parent: this, deletedWith: this.instance },
    );
    this.lifetime = { replaceWith: [this.instance], deletedWith: tie };

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
        { ...child, deleteBeforeReplace: true, dependsOn: [...request, ...removal] },
      ),
    ];
    this.registerOutputs({ address: this.address, dataVolume: this.dataVolume });
  }
}

/**
 * What makes a machine another one, though the provider would not say so: it takes an instance on spot for one that does not differ where
 * nothing is said of spot; it changes a type in place, which AWS does to none on spot; and a machine whose root was on another volume
 * has that in its mounts and its containers.
 */
function kindOf({ spot, dataVolume }: AwsHostArgs, { instanceType }: AwsFindings): string {
  const market = spot ? `spot ${instanceType}` : "on demand";
  return "id" in dataVolume ? `${market}, with ${dataVolume.id}` : market;
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

type Child = { parent: pulumi.Resource; provider: aws.Provider };
type Tags = Record<string, string>;

/** Spare capacity that can be stopped and started like any other: only a persistent request allows that. */
const SPOT = {
  marketType: "spot",
  spotOptions: { spotInstanceType: "persistent", instanceInterruptionBehavior: "stop" },
};

/** How a program of this folder is run: the engine's plugins work in the folder of the program's first file. */
const program = (file: string) => `node ../components/host/aws/${file}`;

/**
 * Removes a volume that is to go with the stack, once no machine has it, and never without a last snapshot. The one place that decides
 * over it: with the provider's own snapshot two resources would, of which a run that fails in between changes only one; and that is waited
 * for ten minutes alone, and taken again by the next attempt.
 */
function removeWithStack(
  name: string,
  { region, profile = "", dataVolume }: AwsHostArgs,
  volume: aws.ebs.Volume,
  { tags, parent }: { tags: Tags; parent: pulumi.Resource },
): pulumi.Resource {
  const keep = "keep" in dataVolume && dataVolume.keep;
  return new command.local.Command(
    `${name}${DATA_REMOVAL}`,
    {
      ...(keep ? {} : { delete: program("delete-data-volume.ts") }),
      interpreter: ["/bin/sh", "-c"],
      environment: { REGION: region, PROFILE: profile, VOLUME: volume.id, TAGS: JSON.stringify(tags) },
      triggers: [volume.id],
    },
    { parent },
  );
}

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
      delete: program("cancel-spot-request.ts"),
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
        tags,
      },
      child,
    );
  }
  new aws.vpc.SecurityGroupEgressRule(
    `${name}-firewall-out`,
    { securityGroupId: group.id, description: "anywhere", cidrIpv4: "0.0.0.0/0", ipProtocol: "-1", tags },
    child,
  );
  return group;
}

/**
 * What the machine may do in the account; undefined where it needs nothing of it: whoever may make roles can reach much. A machine that is
 * there keeps the name of a profile that goes, as the provider takes one that is left out for no difference; it allows nothing then.
 */
function instanceProfile(
  name: string,
  { host, stack, s3 }: AwsMachineArgs,
  tags: Tags,
  child: Child,
): aws.iam.InstanceProfile | undefined {
  const bySessionManager = host.access === "session-manager";
  const policy = permissions({ region: host.region, s3 });
  if (!bySessionManager && !policy) return undefined;
  const role = new aws.iam.Role(
    `${name}-role`,
    { description: `gpubox: the machine of ${stack}`, assumeRolePolicy: JSON.stringify(TRUST), tags },
    child,
  );
  if (policy) {
    new aws.iam.RolePolicy(`${name}-role-policy`, { role: role.name, policy: JSON.stringify(policy) }, child);
  }
  if (bySessionManager) {
    new aws.iam.RolePolicyAttachment(
      `${name}-role-session-manager`,
      { role: role.name, policyArn: sessionManagerPolicy(host.region) },
      child,
    );
  }
  return new aws.iam.InstanceProfile(`${name}-profile`, { role: role.name, tags }, child);
}
