/** Every AWS resource and its inputs; what keeps the machine safe, one by one. */
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { hostKey } from "../../../../../components/host/aws/host-key.ts";
import { PUBLIC_KEY, recordMachine, STACK } from "../../../../support/aws.ts";
import { only, resolved } from "../../../../support/recorder.ts";

const INSTANCE = "aws:ec2/instance:Instance";
const VOLUME = "aws:ebs/volume:Volume";
const COMMAND = "command:local:Command";
const INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule";

const machine = async (...args: Parameters<typeof recordMachine>) => (await recordMachine(...args)).resources;
const instance = async (raw: Record<string, unknown> = {}) => only(await machine(raw), INSTANCE);

describe("the tree", () => {
  it("has every part under the machine, on its own provider", async () => {
    const resources = await machine();
    expect(resources.map(({ type, name, parent }) => `${parent ?? ""} > ${name} ${type}`).sort()).toEqual([
      " > aws gpubox:host:AwsMachine",
      " > aws pulumi:providers:aws",
      "aws > aws-address aws:ec2/eip:Eip",
      "aws > aws-address-association aws:ec2/eipAssociation:EipAssociation",
      "aws > aws-data aws:ebs/volume:Volume",
      "aws > aws-data-attachment aws:ec2/volumeAttachment:VolumeAttachment",
      "aws > aws-data-removal command:local:Command",
      "aws > aws-firewall aws:ec2/securityGroup:SecurityGroup",
      "aws > aws-firewall-out aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
      "aws > aws-firewall-ssh aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
      "aws > aws-host-key random:index/randomPassword:RandomPassword",
      "aws > aws-instance aws:ec2/instance:Instance",
      "aws > aws-key aws:ec2/keyPair:KeyPair",
      "aws > aws-life command:local:Command",
    ]);
    const onAws = resources.filter(({ type }) => type.startsWith("aws:"));
    for (const { provider } of onAws) expect(provider).toContain("providers:aws::aws");
  });
});

describe("the provider", () => {
  it("gives up after few retries, and has no tags of its own", async () => {
    const { inputs } = only(
      await machine({ tags: { team: "vision" }, profile: "lab" }),
      "pulumi:providers:aws",
    );
    expect(inputs).toMatchObject({ region: "us-east-1", profile: "lab" });
    expect(Number(inputs.maxRetries)).toBe(5);
    expect(inputs).not.toHaveProperty("defaultTags");
  });
});

describe("the tags", () => {
  it("are on everything that can have some, the system disk too: the stack's and the person's", async () => {
    const resources = await machine({ tags: { team: "vision" } }, {}, [{ bucket: "pets", prefix: "v1" }]);
    const all = { team: "vision", Name: STACK, "gpubox.stack": STACK };
    const tagged = resources.filter(
      ({ type }) => /^aws:/.test(type) && !/RolePolicy|Association|Attachment/.test(type),
    );
    expect(tagged).toHaveLength(9);
    for (const { type, inputs } of tagged) {
      const more = type === VOLUME ? { "gpubox.role": "data" } : {};
      expect(inputs.tags, type).toEqual({ ...all, ...more });
    }
    expect(only(resources, INSTANCE).inputs.rootBlockDevice.tags).toEqual(all);
  });
});

describe("the firewall", () => {
  it("lets one network in, at SSH, and is the instance's only one", async () => {
    const resources = await machine();
    const group = only(resources, "aws:ec2/securityGroup:SecurityGroup");
    expect(group.inputs).toMatchObject({ vpcId: "vpc-1" });
    expect(group.inputs).not.toHaveProperty("ingress");
    expect(only(resources, INGRESS).inputs).toEqual({
      securityGroupId: "aws-firewall-id",
      description: "SSH",
      cidrIpv4: "203.0.113.7/32",
      ipProtocol: "tcp",
      fromPort: 22,
      toPort: 22,
      tags: expect.anything(),
    });
    expect(only(resources, INSTANCE).inputs.vpcSecurityGroupIds).toEqual(["aws-firewall-id"]);
  });

  it("lets the machine reach anything", async () => {
    const { inputs } = only(await machine(), "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule");
    expect(inputs).toMatchObject({
      cidrIpv4: "0.0.0.0/0",
      ipProtocol: "-1",
      securityGroupId: "aws-firewall-id",
    });
  });
});

describe("the role", () => {
  it("is for machines alone, and allows no more than the permissions", async () => {
    const resources = await machine({}, {}, [{ bucket: "pets", prefix: "v1" }]);
    const role = only(resources, "aws:iam/role:Role");
    expect(JSON.parse(role.inputs.assumeRolePolicy).Statement).toEqual([
      { Effect: "Allow", Principal: { Service: "ec2.amazonaws.com" }, Action: "sts:AssumeRole" },
    ]);
    const policy = only(resources, "aws:iam/rolePolicy:RolePolicy");
    expect(policy.inputs.role).toBe("aws-role");
    const actions = JSON.parse(policy.inputs.policy).Statement.flatMap(
      ({ Action }: { Action: string[] }) => Action,
    );
    expect(actions).toEqual(["s3:ListBucket", "s3:GetObject"]);
    expect(only(resources, "aws:iam/instanceProfile:InstanceProfile").inputs.role).toBe("aws-role");
    expect(only(resources, INSTANCE).inputs.iamInstanceProfile).toBe("aws-profile");
  });

  it("is not there where the machine needs nothing of the account", async () => {
    const resources = await machine();
    expect(resources.filter(({ type }) => type.startsWith("aws:iam/"))).toEqual([]);
    expect(only(resources, INSTANCE).inputs).not.toHaveProperty("iamInstanceProfile");
  });

  it("has no policy of its own where it is for Session Manager alone", async () => {
    const resources = await machine({ access: "session-manager", sshCidr: undefined });
    expect(resources.map(({ type }) => type).filter((type) => type.startsWith("aws:iam/"))).toEqual([
      "aws:iam/role:Role",
      "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
      "aws:iam/instanceProfile:InstanceProfile",
    ]);
  });
});

describe("the instance", () => {
  it("is what was chosen, started with the person's public key", async () => {
    const resources = await machine();
    expect(only(resources, INSTANCE).inputs).toMatchObject({
      ami: "ami-0123456789abcdef0",
      instanceType: "g6.xlarge",
      availabilityZone: "us-east-1a",
      subnetId: "subnet-us-east-1a",
      keyName: "aws-key",
      tags: { Name: STACK },
    });
    expect(only(resources, "aws:ec2/keyPair:KeyPair").inputs.publicKey).toBe(PUBLIC_KEY);
  });

  it("asks for a token at the metadata service, and keeps containers from it", async () => {
    expect((await instance()).inputs.metadataOptions).toEqual({
      httpEndpoint: "enabled",
      httpTokens: "required",
      httpPutResponseHopLimit: 1,
    });
  });

  it("has an encrypted gp3 system disk that goes with it", async () => {
    expect((await instance()).inputs.rootBlockDevice).toMatchObject({
      volumeType: "gp3",
      volumeSize: 100,
      encrypted: true,
      deleteOnTermination: true,
    });
  });

  it("has a system disk that the image fits on", async () => {
    expect((await instance({ rootSize: 30 })).inputs.rootBlockDevice.volumeSize).toBe(75);
  });

  it("stops when it shuts itself down", async () => {
    expect((await instance()).inputs.instanceInitiatedShutdownBehavior).toBe("stop");
  });

  it("never has its tags put on the data volume", async () => {
    expect((await instance()).inputs).not.toHaveProperty("volumeTags");
  });

  it("is not replaced for another user data", async () => {
    expect((await instance()).ignoreChanges).toEqual(["userDataBase64"]);
  });

  it("goes before the next one comes: an account may be granted no more than one", async () => {
    expect((await instance()).deleteBeforeReplace).toBe(true);
  });

  it("is replaced when it goes over to spot or comes from it, on spot for another type, and for another volume", async () => {
    const trigger = async (raw = {}) => (await instance(raw)).replacementTrigger;
    expect(await trigger()).toBe("on demand");
    expect(await trigger({ instanceTypes: ["g5.xlarge"] })).toBe("on demand");
    expect(await trigger({ spot: true })).toBe("spot g6.xlarge");
    expect(await trigger({ spot: true, instanceTypes: ["g5.xlarge"] })).toBe("spot g5.xlarge");
    const adopting = async (id: string) => {
      const getVolume = () => ({ availabilityZone: "us-east-1b", size: 50, encrypted: true });
      const resources = await machine({ dataVolume: { id } }, { "aws:ebs/getVolume:getVolume": getVolume });
      return only(resources, INSTANCE).replacementTrigger;
    };
    expect(await adopting("vol-00000001")).toBe("on demand, with vol-00000001");
    expect(await adopting("vol-00000002")).toBe("on demand, with vol-00000002");
  });

  it("is given the host key that is pinned, as a secret that is nowhere else", async () => {
    const { resources, result } = await recordMachine();
    const { inputs, secrets } = only(resources, INSTANCE);
    expect(secrets).toEqual(["userDataBase64"]);
    const data = parse(Buffer.from(inputs.userDataBase64, "base64").toString());
    const key = hostKey("aws-host-key-c0ffee");
    expect(data.ssh_keys).toEqual({ ed25519_private: key.privateKey, ed25519_public: key.publicKey });
    expect(await resolved(result.hostPublicKey)).toBe(key.publicKey);
    const others = resources.filter(({ type }) => type !== INSTANCE);
    expect(JSON.stringify(others)).not.toContain("PRIVATE KEY");
  });

  it("makes its key from a seed of more than 256 bits", async () => {
    const { inputs } = only(await machine(), "random:index/randomPassword:RandomPassword");
    // 62 letters and digits: 5.95 bits each.
    expect(inputs).toEqual({ length: 64, special: false });
  });
});

describe("the data volume", () => {
  it("is encrypted, and in the zone that was chosen", async () => {
    expect(only(await machine(), VOLUME).inputs).toMatchObject({
      availabilityZone: "us-east-1a",
      size: 100,
      type: "gp3",
      encrypted: true,
      tags: { "gpubox.role": "data" },
    });
  });

  it("is made before the instance and is in no way derived from it", async () => {
    const resources = await machine();
    expect(only(resources, INSTANCE).dependsOn).toContain("aws-data");
    expect(only(resources, VOLUME).dependsOn).toEqual([]);
  });

  it("stays when the stack goes", async () => {
    const volume = only(await machine(), VOLUME);
    expect(volume.retainOnDelete).toBe(true);
  });

  it("goes on request, after a last snapshot of what no machine writes to any more", async () => {
    const resources = await machine({
      dataVolume: { keep: false },
      profile: "lab",
      tags: { team: "vision" },
    });
    const volume = only(resources, VOLUME);
    // One thing alone decides over it, and takes care.
    expect(volume.retainOnDelete).toBe(true);
    expect(volume.inputs).not.toHaveProperty("finalSnapshot");
    expect(volume.ignoreChanges).toEqual(["finalSnapshot"]);
    const snapshot = only(resources, COMMAND, "aws-data-removal");
    expect(snapshot.inputs).toMatchObject({
      delete: "node ../components/host/aws/delete-data-volume.ts",
      environment: { REGION: "us-east-1", PROFILE: "lab", VOLUME: "aws-data-id" },
      triggers: ["aws-data-id"],
    });
    expect(JSON.parse(snapshot.inputs.environment.TAGS)).toEqual({
      team: "vision",
      Name: STACK,
      "gpubox.stack": STACK,
    });
    // What depends on another is deleted before it.
    expect(snapshot.dependsOn).toContain("aws-data");
    const attachment = only(resources, "aws:ec2/volumeAttachment:VolumeAttachment");
    expect(attachment.dependsOn).toContain("aws-data-removal");
  });

  it("is deleted by nothing where it stays", async () => {
    expect(only(await machine(), COMMAND, "aws-data-removal").inputs).not.toHaveProperty("delete");
  });

  it("is attached with care: one machine at a time, and stopped before it is taken away", async () => {
    const attachment = only(await machine(), "aws:ec2/volumeAttachment:VolumeAttachment");
    expect(attachment.inputs).toEqual({
      deviceName: "/dev/sdf",
      instanceId: "aws-instance-id",
      volumeId: "aws-data-id",
      stopInstanceBeforeDetaching: true,
    });
    expect(attachment.deleteBeforeReplace).toBe(true);
  });

  it("is adopted by its id, and then none is made", async () => {
    const dataVolume = { id: "vol-0123456789abcdef0" };
    const resources = await machine(
      { dataVolume },
      {
        "aws:ebs/getVolume:getVolume": () => ({ availabilityZone: "us-east-1b", size: 50, encrypted: true }),
      },
    );
    expect(resources.filter(({ type }) => type === VOLUME)).toEqual([]);
    expect(only(resources, "aws:ec2/volumeAttachment:VolumeAttachment").inputs.volumeId).toBe(dataVolume.id);
    expect(only(resources, INSTANCE).inputs.subnetId).toBe("subnet-us-east-1b");
  });
});

describe("on spot", () => {
  it("the instance can be stopped and started, and is asked for on request only", async () => {
    expect((await instance({ spot: true })).inputs.instanceMarketOptions).toEqual({
      marketType: "spot",
      spotOptions: { spotInstanceType: "persistent", instanceInterruptionBehavior: "stop" },
    });
    expect((await instance()).inputs).not.toHaveProperty("instanceMarketOptions");
  });

  it("its request is cancelled before it goes, so that nothing comes in its place", async () => {
    const resources = await machine({ spot: true, profile: "lab" });
    const request = only(resources, COMMAND, "aws-spot-request");
    expect(request.inputs).toMatchObject({
      delete: "node ../components/host/aws/cancel-spot-request.ts",
      environment: { REGION: "us-east-1", PROFILE: "lab", REQUEST: "sir-1", INSTANCE: "aws-instance-id" },
      triggers: ["aws-instance-id"],
    });
    expect(request.inputs).not.toHaveProperty("create");
    // What depends on another is deleted before it.
    expect(request.dependsOn).toContain("aws-instance");
    expect(request.deletedWith).toBe("");
  });

  it("its request is there until the volume is off it, as AWS stops no instance without one", async () => {
    const attachment = only(await machine({ spot: true }), "aws:ec2/volumeAttachment:VolumeAttachment");
    expect(attachment.dependsOn).toContain("aws-spot-request");
  });
});

describe("the address", () => {
  it("is the machine's own, and survives a stop and the next machine", async () => {
    const { resources, result } = await recordMachine();
    expect(only(resources, "aws:ec2/eip:Eip").inputs).toMatchObject({ domain: "vpc" });
    expect(only(resources, "aws:ec2/eip:Eip").dependsOn).toEqual([]);
    expect(only(resources, "aws:ec2/eipAssociation:EipAssociation").inputs).toEqual({
      allocationId: "aws-address-allocation",
      instanceId: "aws-instance-id",
    });
    expect(await resolved(result.address)).toBe("198.51.100.7");
  });
});
