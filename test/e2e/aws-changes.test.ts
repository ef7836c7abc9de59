/**
 * What each change of an AWS host's configuration does to the machine in the account, and that none of them leaves a difference behind:
 * the real engine and the part of the program that is about AWS, without a machine that boots.
 */
import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSnapshotsCommand,
  DescribeSpotInstanceRequestsCommand,
  DescribeVolumesCommand,
  RunInstancesCommand,
} from "@aws-sdk/client-ec2";
import {
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
} from "@aws-sdk/client-iam";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compareCalls } from "../../machine/aws/calls.ts";
import { type AwsStack, createAwsStack, fails, succeeds } from "../support/aws-stack.ts";
import { AMI, REGION } from "../support/cloud.ts";
import { describeWithDaemon } from "../support/requirements.ts";

/** The program without what is done on a machine, and what runs there. */
const PROGRAM = `
import * as pulumi from "@pulumi/pulumi";
import { inspectAws } from "./components/host/aws/inspect.ts";
import { readKnown } from "./components/host/aws/known.ts";
import { AwsMachine, awsProvider } from "./components/host/aws/machine.ts";
import { s3Prefixes } from "./machine/aws/permissions.ts";
import { readPublicKey } from "./components/host/aws.ts";
import { readEngineConfig } from "./config/from-engine.ts";

const { host, data } = readEngineConfig(pulumi.getStack(), pulumi.runtime.allConfig());
const stack = \`\${pulumi.getProject()}/\${pulumi.getStack()}\`;
const known = await readKnown();
const provider = awsProvider("aws-provider", host);
const found = await inspectAws({ host, known, stack, provider });
const s3 = s3Prefixes(data.flatMap(({ url }) => url));
new AwsMachine("aws-machine", { host, found, publicKey: await readPublicKey(host.key), s3, stack, provider });
export default { zone: found.zone };
`;

describeWithDaemon("a machine on AWS whose configuration changes", () => {
  let stack: AwsStack;

  beforeAll(async () => {
    stack = await createAwsStack();
    // No machine boots: an instance is what AWS says of it.
    stack.cloud.follow({ freeAddress: async () => "192.0.2.1", reconcile: async () => {} });
    const program = join(stack.person.project, "index.ts");
    writeFileSync(program, PROGRAM);
    chownSync(program, 65534, 65534);
    succeeds(await stack.person.npm("pulumi", "stack", "init", "aws"));
  });

  afterAll(() => stack?.end());

  const engine = (...args: string[]) => stack.person.npm("pulumi", ...args, "-s", "aws", "--non-interactive");
  const up = () => engine("up", "--yes", "--skip-preview");

  /** Brings a configuration up, and sees that there is no difference afterwards, whichever way it is looked for. */
  async function becomes(host: Record<string, unknown>, config: Record<string, unknown> = {}) {
    stack.configure(host, { data: [], ...config });
    const before = stack.cloud.calls.length;
    succeeds(await up());
    const calls = stack.cloud.calls.slice(before);
    // What a preview shows before a refresh it shows after it as well.
    succeeds(await engine("refresh", "--yes", "--skip-preview", "--expect-no-changes"));
    succeeds(await engine("preview", "--expect-no-changes"));
    return calls;
  }

  const machine = async () => (await stack.instances())[0];
  const requests = async () =>
    (await stack.cloud.ec2.send(new DescribeSpotInstanceRequestsCommand({}))).SpotInstanceRequests ?? [];

  async function rootVolume() {
    const { BlockDeviceMappings = [], RootDeviceName } = (await machine()) ?? {};
    const id =
      BlockDeviceMappings.find(({ DeviceName }) => DeviceName === RootDeviceName)?.Ebs?.VolumeId ?? "";
    return (await stack.cloud.ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }))).Volumes?.[0];
  }

  const tagsOf = (thing: { Tags?: { Key?: string; Value?: string }[] } | undefined) =>
    Object.fromEntries((thing?.Tags ?? []).map(({ Key, Value }) => [Key, Value]));

  it("is made, and is as it was made", async () => {
    stack.configure({ tags: { team: "vision", project: "birds" } }, { data: [] });
    succeeds(await up());
    succeeds(await engine("preview", "--expect-no-changes"));
    await becomes({ tags: { team: "vision", project: "birds" } });
    const all = { team: "vision", project: "birds", Name: "gpubox/aws", "gpubox.stack": "gpubox/aws" };
    expect(tagsOf(await machine())).toEqual(all);
    expect(tagsOf(await rootVolume())).toEqual(all);
    expect((await machine())?.IamInstanceProfile).toBeUndefined();
  });

  it("has other tags, sizes, another type and network in place, on all that it is made of", async () => {
    const before = await machine();
    const [volume] = await stack.volumes("data");
    const calls = await becomes({
      tags: { team: "speech", year: "2027" },
      sshCidr: "203.0.113.8/32",
      rootSize: 120,
      dataVolume: { size: 2 },
      instanceTypes: ["g6.2xlarge"],
      stopAfterIdle: "never",
    });
    expect(calls).not.toContain("RunInstances");
    expect(await machine()).toMatchObject({ InstanceId: before?.InstanceId, InstanceType: "g6.2xlarge" });
    const all = { team: "speech", year: "2027", Name: "gpubox/aws", "gpubox.stack": "gpubox/aws" };
    expect(tagsOf(await machine())).toEqual(all);
    expect(await rootVolume()).toMatchObject({ Size: 120 });
    expect(tagsOf(await rootVolume())).toEqual(all);
    expect(await stack.volumes("data")).toMatchObject([{ VolumeId: volume?.VolumeId, Size: 2 }]);
    const { SecurityGroupRules = [] } = await stack.cloud.ec2.send(
      new DescribeSecurityGroupRulesCommand({
        Filters: [{ Name: "tag:gpubox.stack", Values: ["gpubox/aws"] }],
      }),
    );
    expect(SecurityGroupRules.filter(({ IsEgress }) => !IsEgress)).toMatchObject([
      { CidrIpv4: "203.0.113.8/32", FromPort: 22, ToPort: 22 },
    ]);
  });

  it("refuses a smaller data volume before it is tried, and leaves a system disk as large as it is", async () => {
    stack.configure({ instanceTypes: ["g6.2xlarge"], dataVolume: { size: 1 } });
    const before = stack.cloud.calls.length;
    fails(await engine("preview"), /gpubox:host\.dataVolume\.size: vol-\w+, .* has 2 GB, .*set 2 or more/);
    expect(stack.cloud.calls.slice(before).filter((name) => /^(Modify|Create|Delete)/.test(name))).toEqual(
      [],
    );
    await becomes({ instanceTypes: ["g6.2xlarge"], dataVolume: { size: 2 }, rootSize: 100 });
    expect(await rootVolume()).toMatchObject({ Size: 120 });
  });

  it("comes to be reached by Session Manager, and to read S3, and goes back, in place", async () => {
    const before = await machine();
    const session = { access: "session-manager", sshCidr: undefined };
    const more = { instanceTypes: ["g6.2xlarge"], dataVolume: { size: 2 } };
    /** Names of what the machine's roles allow; there is one role at most. */
    const allowed = async (): Promise<string[] | undefined> => {
      const { Roles = [] } = await stack.cloud.iam.send(new ListRolesCommand({}));
      const RoleName = Roles.find((role) => role.RoleName?.startsWith("aws-machine-role"))?.RoleName;
      if (RoleName === undefined) return undefined;
      const { AttachedPolicies = [] } = await stack.cloud.iam.send(
        new ListAttachedRolePoliciesCommand({ RoleName }),
      );
      const { PolicyNames = [] } = await stack.cloud.iam.send(new ListRolePoliciesCommand({ RoleName }));
      return [...AttachedPolicies.map(({ PolicyName = "" }) => PolicyName), ...PolicyNames];
    };
    expect(await allowed()).toBeUndefined();
    await becomes({ ...more, ...session }, { data: [{ url: "s3://pets/v1", folder: "pets" }] });
    expect(await allowed()).toEqual([
      "AmazonSSMManagedInstanceCore",
      expect.stringMatching(/^aws-machine-role-policy-/),
    ]);
    expect((await machine())?.IamInstanceProfile?.Arn).toContain("aws-machine-profile");
    await becomes(more);
    // What its instance is still said to have is no more.
    expect(await allowed()).toBeUndefined();
    expect((await machine())?.InstanceId).toBe(before?.InstanceId);
  });

  it("goes over to spot: it is terminated before the new one is created, its volume and address stay", async () => {
    const before = await machine();
    const address = (await stack.address())[0] as { PublicIp: string };
    const [volume] = await stack.volumes("data");
    const calls = await becomes({ spot: true, dataVolume: { size: 2 } });
    expect(calls.indexOf("TerminateInstances")).toBeGreaterThan(-1);
    expect(calls.indexOf("TerminateInstances")).toBeLessThan(calls.indexOf("RunInstances"));
    const after = await machine();
    expect(after?.InstanceId).not.toBe(before?.InstanceId);
    expect(after).toMatchObject({ InstanceLifecycle: "spot", InstanceType: "g6.xlarge" });
    expect(await stack.address()).toEqual([{ PublicIp: address.PublicIp, InstanceId: after?.InstanceId }]);
    expect(await stack.volumes("data")).toMatchObject([
      { VolumeId: volume?.VolumeId, Attachments: [{ InstanceId: after?.InstanceId }] },
    ]);
    expect(await requests()).toMatchObject([{ State: "active", InstanceId: after?.InstanceId }]);
  });

  it("is another on spot for another type, which AWS changes for none", async () => {
    const before = await machine();
    await becomes({ spot: true, instanceTypes: ["g6.2xlarge"], dataVolume: { size: 2 } });
    expect((await machine())?.InstanceId).not.toBe(before?.InstanceId);
    expect(await machine()).toMatchObject({ InstanceLifecycle: "spot", InstanceType: "g6.2xlarge" });
  });

  it("comes back from spot: its request goes with it, and the next has none", async () => {
    const calls = await becomes({ dataVolume: { size: 2 } });
    expect(calls.indexOf("CancelSpotInstanceRequests")).toBeLessThan(calls.indexOf("TerminateInstances"));
    expect(calls.indexOf("TerminateInstances")).toBeLessThan(calls.indexOf("RunInstances"));
    expect((await machine())?.InstanceLifecycle).toBeUndefined();
    expect((await machine())?.SpotInstanceRequestId).toBeUndefined();
    expect((await requests()).map(({ State }) => State)).toEqual(["cancelled", "cancelled"]);
    // What a request starts carries nobody's tags.
    expect(await stack.instances()).toHaveLength(1);
  });

  it("stays as it is where AWS publishes a newer image, and is another for one that is named", async () => {
    const before = await machine();
    const [parameter = ""] = [...stack.cloud.parameters.keys()];
    const image = stack.cloud.parameters.get(parameter) ?? "";
    stack.cloud.parameters.set(parameter, "ami-0fedcba9876543210");
    await becomes({ dataVolume: { size: 2 } });
    expect((await machine())?.InstanceId).toBe(before?.InstanceId);
    stack.cloud.parameters.set(parameter, image);
  });

  it("keeps its volume, or lets it go, without a word to AWS until that day; and goes on with another", async () => {
    const [own] = await stack.volumes("data");
    const calls = await becomes({ dataVolume: { size: 2, keep: false } });
    expect(calls.filter((name) => /^(Modify|Create|Delete)/.test(name))).toEqual([]);
    const { VolumeId: id } = await stack.cloud.ec2.send(
      new CreateVolumeCommand({
        AvailabilityZone: `${REGION}a`,
        Size: 3,
        VolumeType: "gp3",
        Encrypted: true,
      }),
    );
    const before = await machine();
    await becomes({ dataVolume: { id } });
    expect((await machine())?.InstanceId).not.toBe(before?.InstanceId);
    const attached = (await machine())?.BlockDeviceMappings?.map(({ Ebs }) => Ebs?.VolumeId);
    expect(attached).toContain(id);
    expect(attached).not.toContain(own?.VolumeId);
    // It said that it would go, and left its last snapshot.
    expect(await stack.volumes("data")).toEqual([]);
    const Filters = [{ Name: "volume-id", Values: [own?.VolumeId ?? ""] }];
    const { Snapshots = [] } = await stack.cloud.ec2.send(new DescribeSnapshotsCommand({ Filters }));
    expect(Snapshots.map(tagsOf)).toEqual([
      { Name: "gpubox/aws", "gpubox.stack": "gpubox/aws", "gpubox.role": "last-snapshot" },
    ]);
  });

  it("does not move to another region, and says where it is", async () => {
    stack.configure({ region: "us-west-2" }, { data: [] });
    fails(await engine("preview"), /stack aws is in us-east-1, and cannot move to us-west-2/);
  });

  it("loses no volume where a run fails between what is to go and its last snapshot", async () => {
    await becomes({ dataVolume: { size: 1 } });
    const [volume] = await stack.volumes("data");
    stack.configure({ dataVolume: { size: 1, keep: false }, tags: { team: "speech" } }, { data: [] });
    stack.cloud.failures.set("CreateTags", { status: 500, code: "InternalError", message: "not now" });
    fails(await up(), /not now/);
    stack.cloud.failures.clear();
    succeeds(await engine("destroy", "--yes", "--skip-preview"));
    expect(await stack.volumes("data")).toMatchObject([{ VolumeId: volume?.VolumeId, State: "available" }]);
    expect(await stack.leftovers()).toEqual([]);
  });

  it("is given no second volume beside the one that was kept, nor beside one that another's machine has", async () => {
    const [volume] = await stack.volumes("data");
    const { VolumeId = "", AvailabilityZone = "" } = volume ?? {};
    stack.configure({ dataVolume: { size: 1 } }, { data: [] });
    fails(await engine("preview"), /the data of stack aws is still there/, new RegExp(`{id: ${VolumeId}}`));
    const { Instances } = await stack.cloud.moto.send(
      new RunInstancesCommand({
        ...{ MinCount: 1, MaxCount: 1, ImageId: AMI, InstanceType: "g6.xlarge" },
        Placement: { AvailabilityZone },
      }),
    );
    const { InstanceId = "" } = Instances?.[0] ?? {};
    await stack.cloud.moto.send(new AttachVolumeCommand({ VolumeId, InstanceId, Device: "/dev/sdf" }));
    fails(await up(), new RegExp(`${VolumeId} .* is in use by ${InstanceId}`));
    expect(await stack.leftovers()).toEqual([]);
    expect(await stack.volumes("data")).toHaveLength(1);
  });

  it("has made no call that the policy of the page does not permit", () => {
    expect(compareCalls(stack.cloud.actions).notPermitted).toEqual([]);
  });
});
