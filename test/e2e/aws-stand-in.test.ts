/**
 * What stands for AWS, without machines, and what speaks to it: the plugin that stands for pulumi-resource-aws, with every type made,
 * changed and removed; and what is run when a spot instance goes.
 */
import { join } from "node:path";
import {
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeSpotInstanceRequestsCommand,
  ModifyInstanceMetadataOptionsCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { ListUsersCommand } from "@aws-sdk/client-iam";
import grpc from "@grpc/grpc-js";
import providerServices from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import type * as pb from "@pulumi/pulumi/proto/provider_pb.d.ts";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import { execa } from "execa";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { ROOT } from "../../cli/context.ts";
import { unknownValue } from "../../offline/plugins/shared/values.ts";
import { AMI, AMI_PARAMETER, type Cloud, QUOTAS, REGION, startCloud } from "../support/cloud.ts";
import { call, type RunningPlugin, startPlugin, struct } from "../support/offline-plugin.ts";
import { describeWithDaemon } from "../support/requirements.ts";

type Values = Record<string, unknown>;

const STACK = { "gpubox.stack": "gpubox/aws" };
const ZONE = `${REGION}a`;
const PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKyq0bOeZxMok8mMlk3S1LkU8IZXhtdpK/QaV2JnVztR ada";
const TRUST = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { Service: "ec2.amazonaws.com" }, Action: "sts:AssumeRole" }],
});
const policy = (Action: string) =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action, Resource: "*" }] });
const POLICY = policy("ec2:StopInstances");
const OTHER_POLICY = policy("ec2:StartInstances");

/** One resource as the engine would keep it. */
interface Kept {
  type: string;
  id: string;
  inputs: Values;
  outputs: Values;
}

let cloud: Cloud;

beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(() => cloud?.end());

describeWithDaemon("the stand-in of pulumi-resource-aws", () => {
  let plugin: RunningPlugin;
  let client: grpc.Client;
  const made: Kept[] = [];

  beforeAll(async () => {
    const path = join(cloud.plugin, "pulumi-resource-aws");
    plugin = await startPlugin("resource-aws", { path, env: cloud.env });
    client = new providerServices.ResourceProviderClient(plugin.address, grpc.credentials.createInsecure());
    const args = { region: REGION, maxRetries: "2", defaultTags: JSON.stringify({ tags: STACK }) };
    await call(client, "configure", new messages.ConfigureRequest().setArgs(struct(args)));
  });

  afterAll(async () => {
    client?.close();
    await plugin?.stop();
  });

  async function check(type: string, inputs: Values, olds: Values = {}) {
    const request = new messages.CheckRequest().setType(type).setName("box");
    const response = await call<pb.CheckResponse>(
      client,
      "check",
      request.setNews(struct(inputs)).setOlds(struct(olds)),
    );
    const failures = response.getFailuresList().map((failure) => failure.getProperty());
    return { failures, inputs: response.getInputs()?.toJavaScript() as Values };
  }

  async function create(type: string, given: Values, preview = false): Promise<Kept> {
    const { failures, inputs } = await check(type, given);
    expect(failures).toEqual([]);
    const request = new messages.CreateRequest()
      .setType(type)
      .setName("box")
      .setUrn(`urn:${type}::box`)
      .setPreview(preview);
    const response = await call<pb.CreateResponse>(client, "create", request.setProperties(struct(inputs)));
    const outputs = response.getProperties()?.toJavaScript() as Values;
    const kept = { type, id: response.getId(), inputs, outputs };
    if (!preview) made.push(kept);
    return kept;
  }

  /** What a change would do: the properties that change, those that replace. */
  async function diff({ type, id, inputs, outputs }: Kept, change: Values) {
    const given = Object.entries({ ...inputs, ...change }).filter(([, value]) => value !== undefined);
    const news = (await check(type, Object.fromEntries(given), inputs)).inputs;
    const request = new messages.DiffRequest().setType(type).setId(id).setOlds(struct(outputs));
    const response = await call<pb.DiffResponse>(
      client,
      "diff",
      request.setOldInputs(struct(inputs)).setNews(struct(news)),
    );
    return { changes: response.getDiffsList(), replaces: response.getReplacesList() };
  }

  async function update(kept: Kept, change: Values): Promise<void> {
    const news = { ...kept.inputs, ...change };
    const request = new messages.UpdateRequest()
      .setType(kept.type)
      .setId(kept.id)
      .setOlds(struct(kept.outputs));
    const response = await call<pb.UpdateResponse>(client, "update", request.setNews(struct(news)));
    kept.inputs = news;
    kept.outputs = response.getProperties()?.toJavaScript() as Values;
  }

  async function read({ type, id, inputs, outputs }: Kept): Promise<Values | undefined> {
    const request = new messages.ReadRequest().setType(type).setId(id);
    const response = await call<pb.ReadResponse>(
      client,
      "read",
      request.setInputs(struct(inputs)).setProperties(struct(outputs)),
    );
    return response.getId() === "" ? undefined : (response.getProperties()?.toJavaScript() as Values);
  }

  async function remove({ type, id, outputs }: Kept, timeout = 0): Promise<void> {
    const request = new messages.DeleteRequest().setType(type).setId(id).setTimeout(timeout);
    await call(client, "delete", request.setProperties(struct(outputs)));
  }

  async function invoke(token: string, args: Values): Promise<Values> {
    const request = new messages.InvokeRequest().setTok(token).setArgs(struct(args));
    const response = await call<pb.InvokeResponse>(client, "invoke", request);
    const failures = response.getFailuresList().map((failure) => failure.getProperty());
    return failures.length > 0 ? { failures } : (response.getReturn()?.toJavaScript() as Values);
  }

  const unchanged = { changes: [], replaces: [] };
  const replaced = (...names: string[]) => ({ changes: names, replaces: names });
  const updated = (...names: string[]) => ({ changes: names, replaces: [] });
  const filter = (name: string, ...values: string[]) => ({ filters: [{ name, values }] });

  it("speaks to nothing but this machine", async () => {
    const path = join(cloud.plugin, "pulumi-resource-aws");
    for (const endpoint of ["", "https://ec2.us-east-1.amazonaws.com", "http://127.0.0.1.example.com"]) {
      const env = { ...cloud.env, AWS_ENDPOINT_URL: endpoint };
      const { exitCode, stderr } = await execa(path, ["127.0.0.1:1"], {
        env,
        reject: false,
        stdin: "ignore",
      });
      expect(exitCode).toBe(1);
      expect(stderr).toContain("speaks to this machine only");
    }
  });

  it("refuses types, functions and properties that the program does not use, by name", async () => {
    await expect(check("aws:s3/bucket:Bucket", {})).rejects.toThrow("aws:s3/bucket:Bucket is not supported");
    await expect(invoke("aws:ec2/getEips:getEips", {})).rejects.toThrow("aws:ec2/getEips:getEips");
    const inputs = { ami: AMI, instanceType: "g6.xlarge", metadataOptions: { httpToken: "required" } };
    const { failures } = await check("aws:ec2/instance:Instance", { ...inputs, sourceDestCheck: false });
    expect(failures.sort()).toEqual(["metadataOptions.httpToken", "sourceDestCheck"]);
    const args = { ...filter("default", "true"), mostRecent: true };
    expect(await invoke("aws:ec2/getSubnets:getSubnets", args)).toEqual({ failures: ["mostRecent"] });
  });

  it("looks up what there is", async () => {
    const parameter = await invoke("aws:ssm/getParameter:getParameter", { name: AMI_PARAMETER });
    expect(parameter).toMatchObject({ insecureValue: AMI, type: "String" });
    expect(await invoke("aws:ec2/getAmi:getAmi", filter("image-id", AMI))).toMatchObject({
      id: AMI,
      architecture: "x86_64",
      rootDeviceName: "/dev/sda1",
      blockDeviceMappings: [
        { deviceName: "/dev/sda1", ebs: { volume_size: expect.stringMatching(/^\d+$/) } },
      ],
    });
    const type = await invoke("aws:ec2/getInstanceType:getInstanceType", { instanceType: "g6.xlarge" });
    expect(type).toMatchObject({
      defaultVcpus: 4,
      ebsNvmeSupport: "required",
      gpuses: [{ count: 1, manufacturer: "NVIDIA", name: "L4", memorySize: 22888 }],
      hypervisor: "nitro",
      supportedArchitectures: ["x86_64"],
    });
    const old = await invoke("aws:ec2/getInstanceType:getInstanceType", { instanceType: "p3.2xlarge" });
    expect(old).toMatchObject({ ebsNvmeSupport: "unsupported", hypervisor: "xen" });
    const offerings = await invoke("aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings", {
      locationType: "availability-zone",
      ...filter("instance-type", "g6.xlarge"),
    });
    expect(offerings.locations).toContain(ZONE);
    expect(new Set(offerings.instanceTypes as string[])).toEqual(new Set(["g6.xlarge"]));
    const { id: vpc } = await invoke("aws:ec2/getVpc:getVpc", { default: true });
    const filters = [
      { name: "vpc-id", values: [vpc] },
      { name: "default-for-az", values: ["true"] },
    ];
    const { ids } = (await invoke("aws:ec2/getSubnets:getSubnets", { filters })) as { ids: string[] };
    const zones = await Promise.all(ids.map((id) => invoke("aws:ec2/getSubnet:getSubnet", { id })));
    expect(zones.map(({ availabilityZone }) => availabilityZone)).toContain(ZONE);
    expect(zones.every(({ vpcId }) => vpcId === vpc)).toBe(true);
    // A subnet is in the main route table until it is given its own.
    const table = await invoke("aws:ec2/getRouteTable:getRouteTable", {
      vpcId: vpc,
      ...filter("association.main", "true"),
    });
    expect(table.routes).toMatchObject([
      { cidrBlock: "0.0.0.0/0", gatewayId: expect.stringMatching(/^igw-/), natGatewayId: "" },
    ]);
    await expect(
      invoke("aws:ec2/getRouteTable:getRouteTable", { subnetId: ids[0] as string }),
    ).rejects.toThrow("* no matching Route Table found\n");
    const quota = { serviceCode: "ec2", quotaCode: QUOTAS.onDemandG };
    cloud.quotas.set(QUOTAS.onDemandG, { name: "Running On-Demand G and VT instances", value: 8 });
    expect(await invoke("aws:servicequotas/getServiceQuota:getServiceQuota", quota)).toMatchObject({
      value: 8,
      quotaName: "Running On-Demand G and VT instances",
    });
  });

  it("says what it cannot look up in several lines, and why", async () => {
    const lookUps: [string, Values, string][] = [
      ["aws:ssm/getParameter", { name: "/none" }, "reading SSM Parameter (/none): couldn't find resource"],
      ["aws:ec2/getAmi", filter("image-id", "ami-1"), "Your query returned no results. Please change your"],
      ["aws:ec2/getSubnet", { id: "subnet-1" }, "no matching EC2 Subnet found"],
      ["aws:ec2/getVpc", { id: "vpc-1" }, "no matching EC2 VPC found"],
      ["aws:ec2/getInstance", { instanceId: "i-1" }, "no matching EC2 Instance found"],
      ["aws:ebs/getVolume", filter("volume-id", "vol-1"), "Your query returned no results. Please change"],
      [
        "aws:servicequotas/getServiceQuota",
        { serviceCode: "ec2", quotaCode: "L-0" },
        "no matching Service Quotas Service Quota found",
      ],
    ];
    for (const [name, args, reason] of lookUps) {
      const token = `${name}:${name.split("/")[1]}`;
      await expect(invoke(token, args), token).rejects.toThrow(
        `invoking ${token}: 1 error occurred:\n\t* ${reason}`,
      );
    }
    const type = invoke("aws:ec2/getInstanceType:getInstanceType", { instanceType: "g9.huge" });
    await expect(type).rejects.toThrow(
      /\* reading EC2 Instance Type: operation error EC2: DescribeInstanceTypes, https response error StatusCode: 400, RequestID: \S+, api error InvalidInstanceType: .*g9\.huge/,
    );
  });

  it("fails as AWS does where a test says so, and asks no further", async () => {
    const code = "AccessDeniedException";
    const quota = { serviceCode: "ec2", quotaCode: QUOTAS.onDemandG };
    const lookUps: [action: string, code: string, token: string, args: Values, error: RegExp][] = [
      ["DescribeImages", "ExpiredToken", "aws:ec2/getAmi:getAmi", {}, /\* reading EC2 AMIs: operation error/],
      ["GetParameter", code, "aws:ssm/getParameter:getParameter", { name: "/a" }, /SSM: GetParameter, https/],
      [
        "GetAWSDefaultServiceQuota",
        code,
        "aws:servicequotas/getServiceQuota:getServiceQuota",
        quota,
        /\* reading Service Quotas Service Quota: operation error Service Quotas: GetAWSDefaultServiceQuota, /,
      ],
    ];
    for (const [action, code, token, args, error] of lookUps) {
      cloud.failures.set(action, { status: 403, code, message: "not for you" });
      const before = cloud.calls.length;
      await expect(invoke(token, args)).rejects.toThrow(error);
      await expect(invoke(token, args)).rejects.toThrow(new RegExp(`${code}: not for you`));
      expect(new Set(cloud.calls.slice(before))).toEqual(new Set([action]));
      cloud.failures.delete(action);
    }
    cloud.failures.set("CreateRole", { status: 403, code: "AccessDenied", message: "not you" });
    const role = create("aws:iam/role:Role", { assumeRolePolicy: TRUST });
    await expect(role).rejects.toThrow(
      /^2 UNKNOWN: 1 error occurred:\n\t\* creating IAM Role \(box-\w+\): operation error IAM: CreateRole, https response error StatusCode: 403, RequestID: \S+, api error AccessDenied: not you\n/,
    );
    cloud.failures.clear();
  });

  it("asks whose credentials it has before anything else", async () => {
    cloud.failures.set("GetCallerIdentity", { status: 403, code: "ExpiredToken", message: "It is expired" });
    const path = join(cloud.plugin, "pulumi-resource-aws");
    const other = await startPlugin("resource-aws", { path, env: cloud.env });
    const itsClient = new providerServices.ResourceProviderClient(
      other.address,
      grpc.credentials.createInsecure(),
    );
    const request = new messages.ConfigureRequest().setArgs(struct({ region: REGION }));
    await expect(call(itsClient, "configure", request)).rejects.toThrow(
      /unable to validate AWS credentials\.\nDetails: validating provider credentials: retrieving caller identity from STS: operation error STS: GetCallerIdentity, .* api error ExpiredToken: /,
    );
    cloud.failures.clear();
    itsClient.close();
    await other.stop();
  });

  it("tells prices of everything that is like what was asked for, once it may be asked", async () => {
    const ask = async (filters: Values = {}) => {
      const response = await fetch(cloud.url, {
        method: "POST",
        headers: {
          "content-type": "application/x-amz-json-1.1",
          "x-amz-target": "AWSPriceListService.GetProducts",
        },
        body: JSON.stringify({
          ServiceCode: "AmazonEC2",
          Filters: Object.entries(filters).map(([Field, Value]) => ({ Type: "TERM_MATCH", Field, Value })),
        }),
      });
      const answer = (await response.json()) as { PriceList: string[] };
      return { status: response.status, answer };
    };
    expect(await ask()).toMatchObject({ status: 400, answer: { __type: "AccessDeniedException" } });
    cloud.prices.set("g6.xlarge", 0.8048);
    const type = { instanceType: "g6.xlarge", regionCode: REGION };
    expect((await ask(type)).answer.PriceList.length).toBeGreaterThan(1);
    const one = { operatingSystem: "Linux", tenancy: "Shared", capacitystatus: "Used", preInstalledSw: "NA" };
    const { answer } = await ask({ ...type, ...one });
    expect(answer.PriceList).toHaveLength(1);
    const { product, terms } = JSON.parse(answer.PriceList[0] as string);
    expect(product.attributes).toMatchObject({ ...type, ...one });
    const [term] = Object.values(terms.OnDemand) as { priceDimensions: Values }[];
    expect(Object.values(term?.priceDimensions ?? {})).toMatchObject([
      { unit: "Hrs", pricePerUnit: { USD: "0.8048000000" } },
    ]);
    expect((await ask({ ...type, regionCode: "eu-central-1" })).answer.PriceList).toEqual([]);
    cloud.prices.clear();
  });

  it("makes everything that a stack is made of, and sees no change afterwards", async () => {
    const { id: vpcId } = await invoke("aws:ec2/getVpc:getVpc", { default: true });
    const subnets = await invoke("aws:ec2/getSubnets:getSubnets", filter("availability-zone", ZONE));
    const [subnetId] = subnets.ids as string[];
    const group = await create("aws:ec2/securityGroup:SecurityGroup", {
      description: "gpubox",
      vpcId,
      tags: { Name: "box" },
    });
    expect(group.id).toMatch(/^sg-/);
    expect(group.inputs.name).toMatch(/^box-[0-9a-f]{7}$/);
    expect(group.outputs.tagsAll).toEqual({ ...STACK, Name: "box" });
    const rule = { securityGroupId: group.id, description: "SSH" };
    const ingress = await create("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", {
      ...rule,
      cidrIpv4: "203.0.113.7/32",
      ipProtocol: "tcp",
      fromPort: 22,
      toPort: 22,
    });
    expect(ingress.id).toMatch(/^sgr-/);
    await create("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", {
      ...rule,
      cidrIpv4: "0.0.0.0/0",
      ipProtocol: "-1",
    });
    const key = await create("aws:ec2/keyPair:KeyPair", { publicKey: PUBLIC_KEY, tags: { Name: "box" } });
    const role = await create("aws:iam/role:Role", { description: "gpubox", assumeRolePolicy: TRUST });
    const rolePolicy = await create("aws:iam/rolePolicy:RolePolicy", { role: role.id, policy: POLICY });
    expect(rolePolicy.id).toBe(`${role.id}:${rolePolicy.inputs.name}`);
    await create("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {
      role: role.id,
      policyArn: "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    });
    const profile = await create("aws:iam/instanceProfile:InstanceProfile", { role: role.id });
    const volume = await create("aws:ebs/volume:Volume", {
      availabilityZone: ZONE,
      size: 50,
      type: "gp3",
      encrypted: true,
      tags: { Name: "box", "gpubox.role": "data" },
    });
    const instance = await create("aws:ec2/instance:Instance", {
      ami: AMI,
      instanceType: "g6.xlarge",
      availabilityZone: ZONE,
      subnetId,
      vpcSecurityGroupIds: [group.id],
      iamInstanceProfile: profile.id,
      keyName: key.id,
      userDataBase64: Buffer.from("#cloud-config\n").toString("base64"),
      metadataOptions: { httpEndpoint: "enabled", httpTokens: "required", httpPutResponseHopLimit: 1 },
      rootBlockDevice: {
        volumeType: "gp3",
        volumeSize: 100,
        encrypted: true,
        deleteOnTermination: true,
        tags: { Name: "box-root" },
      },
      instanceInitiatedShutdownBehavior: "stop",
      tags: { Name: "box" },
    });
    expect(instance.outputs).toMatchObject({ instanceState: "running", availabilityZone: ZONE });
    const attachment = await create("aws:ec2/volumeAttachment:VolumeAttachment", {
      deviceName: "/dev/sdf",
      instanceId: instance.id,
      volumeId: volume.id,
      stopInstanceBeforeDetaching: true,
    });
    const address = await create("aws:ec2/eip:Eip", { domain: "vpc", tags: { Name: "box" } });
    const ids = { allocationId: address.id, instanceId: instance.id };
    const association = await create("aws:ec2/eipAssociation:EipAssociation", ids);
    expect(attachment.id).toMatch(/^vai-/);
    expect(association.outputs.publicIp).toBe(address.outputs.publicIp);

    for (const kept of made) {
      expect(await diff(kept, {}), kept.type).toEqual(unchanged);
      expect(await read(kept), kept.type).toMatchObject(kept.inputs);
    }
    const found = await invoke("aws:ec2/getInstances:getInstances", filter("tag:gpubox.stack", "gpubox/aws"));
    expect(found.ids).toEqual([instance.id]);
    const volumes = await invoke("aws:ebs/getEbsVolumes:getEbsVolumes", filter("tag:gpubox.role", "data"));
    expect(volumes.ids).toEqual([volume.id]);
    const root = await invoke("aws:ebs/getVolume:getVolume", filter("tag:Name", "box-root"));
    expect(root).toMatchObject({ encrypted: true, size: 100, tags: STACK });
    expect(await invoke("aws:ec2/getInstance:getInstance", { instanceId: instance.id })).toMatchObject({
      availabilityZone: ZONE,
      instanceType: "g6.xlarge",
    });
  });

  const one = (type: string) => made.find((kept) => kept.type.endsWith(`:${type}`)) as Kept;

  it("knows what is changed in place, and what needs a new one", async () => {
    const expectations: [string, Values, unknown][] = [
      ["Instance", { instanceType: "g5.xlarge" }, updated("instanceType")],
      ["Instance", { userDataBase64: "YQ==" }, updated("userDataBase64")],
      [
        "Instance",
        { userDataBase64: "YQ==", userDataReplaceOnChange: true },
        { changes: ["userDataBase64", "userDataReplaceOnChange"], replaces: ["userDataBase64"] },
      ],
      ["Instance", { ami: "ami-0fedcba9876543210" }, replaced("ami")],
      ["Instance", { availabilityZone: `${REGION}b` }, replaced("availabilityZone")],
      ["Instance", { subnetId: "subnet-1" }, replaced("subnetId")],
      ["Instance", { keyName: "other" }, replaced("keyName")],
      ["Instance", { instanceMarketOptions: { marketType: "spot" } }, replaced("instanceMarketOptions")],
      ["Instance", { metadataOptions: { httpTokens: "optional" } }, updated("metadataOptions")],
      ["Instance", { rootBlockDevice: { encrypted: false } }, replaced("rootBlockDevice")],
      ["Volume", { availabilityZone: `${REGION}b` }, replaced("availabilityZone")],
      ["Volume", { size: 60 }, updated("size")],
      ["Volume", { finalSnapshot: true }, updated("finalSnapshot")],
      // What the cloud chooses where the program does not.
      ["Instance", { metadataOptions: undefined, keyName: undefined, rootBlockDevice: undefined }, unchanged],
      ["SecurityGroupIngressRule", { cidrIpv4: "203.0.113.8/32" }, updated("cidrIpv4")],
      ["SecurityGroupIngressRule", { toPort: 23, description: "b" }, updated("description", "toPort")],
      ["SecurityGroupIngressRule", { securityGroupId: "sg-1" }, replaced("securityGroupId")],
      ["VolumeAttachment", { instanceId: "i-1" }, replaced("instanceId")],
      ["SecurityGroup", { description: "other" }, replaced("description")],
      ["SecurityGroup", { tags: {} }, updated("tags", "tagsAll")],
      ["KeyPair", { publicKey: `${PUBLIC_KEY}a` }, replaced("publicKey")],
      ["Role", { assumeRolePolicy: POLICY }, updated("assumeRolePolicy")],
      ["RolePolicy", { policy: OTHER_POLICY }, updated("policy")],
      ["RolePolicyAttachment", { role: "other" }, replaced("role")],
      ["InstanceProfile", { role: "other" }, updated("role")],
      ["EipAssociation", { instanceId: "i-1" }, replaced("instanceId")],
    ];
    for (const [type, change, expected] of expectations)
      expect(await diff(one(type), change), `${type} ${JSON.stringify(change)}`).toEqual(expected);
  });

  it("changes in place what can be", async () => {
    const instance = one("Instance");
    const before = cloud.calls.length;
    await update(instance, { instanceType: "g5.xlarge" });
    expect(instance.outputs).toMatchObject({ instanceType: "g5.xlarge", instanceState: "running" });
    const changing = cloud.calls.slice(before).filter((name) => !name.startsWith("Describe"));
    expect(changing).toEqual(["StopInstances", "ModifyInstanceAttribute", "StartInstances"]);
    await update(instance, {
      metadataOptions: { httpEndpoint: "enabled", httpTokens: "required", httpPutResponseHopLimit: 2 },
    });
    const { Reservations } = await cloud.ec2.send(
      new DescribeInstancesCommand({ InstanceIds: [instance.id] }),
    );
    expect(Reservations?.[0]?.Instances?.[0]?.MetadataOptions?.HttpPutResponseHopLimit).toBe(2);
    const { id: ruleId } = one("SecurityGroupIngressRule");
    await update(one("SecurityGroupIngressRule"), { cidrIpv4: "203.0.113.8/32", description: "my SSH" });
    expect(cloud.calls).toContain("ModifySecurityGroupRules");
    expect(await read(one("SecurityGroupIngressRule"))).toMatchObject({
      securityGroupRuleId: ruleId,
      cidrIpv4: "203.0.113.8/32",
      description: "my SSH",
    });
    expect(await diff(one("SecurityGroupIngressRule"), {})).toEqual(unchanged);
    await update(one("Volume"), { size: 60, tags: { Name: "grown" } });
    const volume = await invoke("aws:ebs/getVolume:getVolume", filter("volume-id", one("Volume").id));
    expect(volume).toMatchObject({ size: 60, tags: { ...STACK, Name: "grown" } });
    expect(volume.tags).not.toHaveProperty("gpubox.role");
    await update(one("RolePolicy"), { policy: OTHER_POLICY });
    expect(await read(one("RolePolicy"))).toMatchObject({ policy: OTHER_POLICY });
    await update(one("Role"), { description: "other" });
  });

  it("sees what somebody else has changed once it has looked", async () => {
    const instance = one("Instance");
    const other = { InstanceId: instance.id, HttpEndpoint: "enabled", HttpPutResponseHopLimit: 5 } as const;
    await cloud.ec2.send(new ModifyInstanceMetadataOptionsCommand(other));
    const outputs = await read(instance);
    expect(await diff({ ...instance, outputs: outputs as Values }, {})).toEqual(updated("metadataOptions"));
    await update({ ...instance, outputs: outputs as Values }, {});
    expect(await read(instance)).toMatchObject({ metadataOptions: { httpPutResponseHopLimit: 2 } });
  });

  /** Does something as a provider with other default tags would. */
  async function withDefaultTags(tags: Values, use: () => Promise<void>): Promise<void> {
    const configure = (defaults: Values) => {
      const args = { region: REGION, maxRetries: "2", defaultTags: JSON.stringify({ tags: defaults }) };
      return call(client, "configure", new messages.ConfigureRequest().setArgs(struct(args)));
    };
    await configure(tags);
    await use();
    await configure(STACK);
  }

  it("puts the provider's tags on a new root volume, and later changes of them nowhere near it", async () => {
    const instance = one("Instance");
    const rootTags = async (now: Values | undefined) => {
      const { volumeId } = now?.rootBlockDevice as { volumeId: string };
      return (await invoke("aws:ebs/getVolume:getVolume", filter("volume-id", volumeId))).tags;
    };
    expect(await rootTags(instance.outputs)).toEqual({ ...STACK, Name: "box-root" });
    expect((await read(instance))?.rootBlockDevice).toMatchObject({ tags: { Name: "box-root" } });
    await withDefaultTags({ ...STACK, "gpubox.stack": "gpubox/new", owner: "ada" }, async () => {
      expect(await diff(instance, {})).toEqual(updated("tagsAll"));
      await update(instance, {});
      expect(instance.outputs.tagsAll).toMatchObject({ "gpubox.stack": "gpubox/new", owner: "ada" });
      expect(await rootTags(instance.outputs)).toEqual({ ...STACK, Name: "box-root" });
      // The old value is taken for one of the volume's own, is to be removed, and nothing puts the new one there.
      expect(await diff(instance, {})).toEqual(updated("rootBlockDevice"));
      await update(instance, {});
      expect(await rootTags(instance.outputs)).toEqual({ Name: "box-root" });
      expect(await diff(instance, {})).toEqual(unchanged);
    });
    // What repeats the provider's tags follows them, and is no difference.
    const { tags, ...root } = instance.inputs.rootBlockDevice as { tags: Values };
    await update(instance, { rootBlockDevice: { ...root, tags: { ...STACK, ...tags } } });
    expect(await rootTags(instance.outputs)).toEqual({ ...STACK, Name: "box-root" });
    expect(await diff({ ...instance, outputs: (await read(instance)) as Values }, {})).toEqual(unchanged);
    await update(instance, { rootBlockDevice: { ...root, tags } });
    expect(await rootTags(instance.outputs)).toEqual({ Name: "box-root" });
  });

  it("makes no volume smaller, and waits for a last snapshot as long as it is given", async () => {
    const inputs = { availabilityZone: ZONE, size: 4, type: "gp3", finalSnapshot: true };
    const volume = await create("aws:ebs/volume:Volume", inputs);
    await expect(update({ ...volume }, { size: 3 })).rejects.toThrow(
      /\* modifying EBS Volume \(vol-\w+\): operation error EC2: ModifyVolume, .* api error InvalidParameterValue: New size cannot be smaller than existing size\n/,
    );
    cloud.snapshots.seconds = 60;
    await expect(remove(volume, 1)).rejects.toThrow(
      /\* waiting for EBS Snapshot \(snap-\w+\) create: timeout while waiting for state to become 'completed' \(last state: 'pending', timeout: 1s\)\n/,
    );
    expect(await read(volume)).toMatchObject({ size: 4 });
    cloud.snapshots.seconds = 1;
    await remove(volume, 30);
    expect(await read(volume)).toBeUndefined();
    const Filters = [{ Name: "volume-id", Values: [volume.id] }];
    const { Snapshots } = await cloud.ec2.send(new DescribeSnapshotsCommand({ Filters }));
    // Nothing remembers the first.
    expect(Snapshots).toHaveLength(2);
    cloud.snapshots.seconds = 0;
  });

  it("counts a change of what happens in the end as a modification, as EC2 does", async () => {
    const inputs = { availabilityZone: ZONE, size: 4, type: "gp3", throughput: 125 };
    const volume = await create("aws:ebs/volume:Volume", inputs);
    const before = cloud.calls.length;
    await update(volume, { finalSnapshot: false });
    expect(cloud.calls.slice(before)).toContain("ModifyVolume");
    await remove(volume);
  });

  it("asks for the credits of a burstable type", async () => {
    const before = cloud.calls.length;
    const instance = await create("aws:ec2/instance:Instance", { ami: AMI, instanceType: "t3.large" });
    expect(cloud.calls.slice(before)).toContain("DescribeInstanceCreditSpecifications");
    const asked = cloud.calls.length;
    const found = await invoke("aws:ec2/getInstance:getInstance", { instanceId: instance.id });
    expect(new Set(cloud.calls.slice(asked))).toEqual(
      new Set([
        "DescribeInstances",
        "DescribeInstanceTypes",
        "DescribeVpcs",
        "DescribeVolumes",
        "DescribeInstanceAttribute",
        "DescribeInstanceCreditSpecifications",
      ]),
    );
    expect(found.rootBlockDevices).toMatchObject([
      { volumeId: expect.stringMatching(/^vol-/), volumeSize: expect.any(Number), tags: STACK },
    ]);
    await remove(instance);
  });

  it("keeps a spot instance on spot until the program says otherwise, and cancels its request at the end", async () => {
    const spotOptions = { spotInstanceType: "persistent", instanceInterruptionBehavior: "stop" };
    const market = { marketType: "spot", spotOptions };
    const inputs = { ami: AMI, instanceType: "g6.xlarge" };
    const spot = await create("aws:ec2/instance:Instance", { ...inputs, instanceMarketOptions: market });
    expect(spot.outputs).toMatchObject({
      instanceLifecycle: "spot",
      spotInstanceRequestId: expect.stringMatching(/^sir-/),
      instanceMarketOptions: { marketType: "spot", spotOptions: { ...spotOptions, maxPrice: "0.804800" } },
    });
    expect(await diff(spot, {})).toEqual(unchanged);
    expect(await diff(spot, { instanceMarketOptions: undefined })).toEqual(unchanged);
    const once = { marketType: "spot", spotOptions: { ...spotOptions, spotInstanceType: "one-time" } };
    expect(await diff(spot, { instanceMarketOptions: once })).toEqual(replaced("instanceMarketOptions"));
    const found = await invoke(
      "aws:ec2/getInstances:getInstances",
      filter("instance-lifecycle", "spot", "scheduled"),
    );
    expect(found.ids).toEqual([spot.id]);
    await remove(spot);
    expect((await invoke("aws:ec2/getInstances:getInstances", {})).ids).not.toContain(spot.id);
    const SpotInstanceRequestIds = [String(spot.outputs.spotInstanceRequestId)];
    const answer = await cloud.ec2.send(new DescribeSpotInstanceRequestsCommand({ SpotInstanceRequestIds }));
    expect(answer.SpotInstanceRequests).toMatchObject([
      { State: "cancelled", InstanceId: spot.id, Status: { Code: "instance-terminated-by-user" } },
    ]);
  });

  it("keeps in the state what was made before something failed", async () => {
    cloud.failures.set("DescribeVolumes", { status: 403, code: "UnauthorizedOperation", message: "not you" });
    const making = create("aws:ec2/instance:Instance", { ami: AMI, instanceType: "g6.xlarge" });
    const error = await making.catch((error: grpc.ServiceError) => error);
    cloud.failures.clear();
    const { metadata, message } = error as grpc.ServiceError;
    expect(message).toMatch(
      /reading block devices: operation error EC2: DescribeVolumes, .*UnauthorizedOper/,
    );
    const [id = ""] = /i-[0-9a-f]{17}/.exec(String(metadata.get("grpc-status-details-bin")[0])) ?? [];
    await cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  });

  it("says what a preview cannot know", async () => {
    const { id, outputs } = await create("aws:ec2/eip:Eip", { domain: "vpc" }, true);
    expect(id).toBe("");
    expect(outputs).toMatchObject({ publicIp: unknownValue, tagsAll: STACK });
  });

  it("fails in the words of AWS where there is no capacity, in one zone and not in the next", async () => {
    cloud.noCapacity.add(`g6.xlarge ${ZONE}`);
    const inputs = { ami: AMI, instanceType: "g6.xlarge", keyName: one("KeyPair").id };
    const spot = { marketType: "spot", spotOptions: { spotInstanceType: "persistent" } };
    await expect(create("aws:ec2/instance:Instance", { ...inputs, availabilityZone: ZONE })).rejects.toThrow(
      /\* creating EC2 Instance: operation error EC2: RunInstances, exceeded maximum number of attempts, 2, https response error StatusCode: 500, RequestID: \S+, api error InsufficientInstanceCapacity: We currently do not have sufficient g6.xlarge capacity/,
    );
    const availabilityZone = `${REGION}b`;
    const kept = await create("aws:ec2/instance:Instance", {
      ...inputs,
      availabilityZone,
      instanceMarketOptions: spot,
    });
    expect(kept.outputs.availabilityZone).toBe(availabilityZone);
  });

  it("notices what is gone, and removes it without a word", async () => {
    const instance = made.at(-1) as Kept;
    await cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instance.id] }));
    expect(await read(instance)).toBeUndefined();
    await remove(instance);
  });

  it("leaves nothing behind", async () => {
    await remove(one("EipAssociation"));
    const before = cloud.calls.length;
    await remove(one("VolumeAttachment"));
    expect(cloud.calls.slice(before)).toContain("StopInstances");
    for (const kept of [...made].reverse()) await remove(kept);
    for (const kept of made) expect(await read(kept), kept.type).toBeUndefined();
    for (const kept of made) await remove(kept);
    const mine = filter("tag:gpubox.stack", "gpubox/aws");
    expect((await invoke("aws:ebs/getEbsVolumes:getEbsVolumes", mine)).ids).toEqual([]);
    expect((await invoke("aws:ec2/getInstances:getInstances", mine)).ids).toEqual([]);
  });

  it("has noted what the person needs to be allowed, and not what the tests ask", async () => {
    await cloud.iam.send(new ListUsersCommand({}));
    expect(cloud.calls).toContain("ListUsers");
    const actions = [...cloud.actions];
    expect(actions).toEqual(
      expect.arrayContaining([
        "ec2:RunInstances",
        "iam:CreateRole",
        "servicequotas:GetAWSDefaultServiceQuota",
        "ssm:GetParameter",
        "sts:GetCallerIdentity",
      ]),
    );
    expect(actions).not.toContain("iam:ListUsers");
  });
});

describeWithDaemon("a spot instance that goes", () => {
  let instance: string;
  /** Those that were there before. */
  let others: (string | undefined)[] = [];

  beforeEach(async () => {
    others = await running();
    const { Instances } = await cloud.ec2.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        ImageId: AMI,
        InstanceType: "g6.xlarge",
        InstanceMarketOptions: {
          MarketType: "spot",
          SpotOptions: { SpotInstanceType: "persistent", InstanceInterruptionBehavior: "stop" },
        },
      }),
    );
    instance = Instances?.[0]?.InstanceId ?? "";
  });

  /** The newest. */
  async function request() {
    const answer = await cloud.ec2.send(new DescribeSpotInstanceRequestsCommand({}));
    return answer.SpotInstanceRequests?.at(-1);
  }

  /** Ids of all instances that are not terminated. */
  async function running(): Promise<(string | undefined)[]> {
    const { Reservations = [] } = await cloud.ec2.send(new DescribeInstancesCommand({}));
    return Reservations.flatMap(({ Instances = [] }) => Instances)
      .filter(({ State }) => State?.Name !== "terminated")
      .map(({ InstanceId }) => InstanceId);
  }

  const instances = async () => (await running()).filter((id) => !others.includes(id));
  const ids = () => ({ InstanceIds: [instance] });
  const terminate = () => cloud.ec2.send(new TerminateInstancesCommand(ids()));

  async function cancel(REQUEST = ""): Promise<void> {
    const env = { ...cloud.env, REGION, PROFILE: "", REQUEST, INSTANCE: instance };
    await execa("node", ["../components/host/aws/cancel-spot-request.ts"], {
      cwd: join(ROOT, "program"),
      env,
    });
  }

  it("is followed by another where its request is still there", async () => {
    await terminate();
    const [other] = await instances();
    expect(other).toMatch(/^i-/);
    expect(other).not.toBe(instance);
    expect(await request()).toMatchObject({ State: "active", InstanceId: other });
  });

  it("is followed by none once its request is cancelled", async () => {
    await cloud.ec2.send(new StopInstancesCommand(ids()));
    expect(await request()).toMatchObject({ State: "disabled" });
    await cancel((await request())?.SpotInstanceRequestId);
    expect(await request()).toMatchObject({ State: "cancelled" });
    expect(await instances()).toEqual([instance]);
    // From then on AWS neither stops nor starts it.
    await expect(cloud.ec2.send(new StartInstancesCommand(ids()))).rejects.toThrow(
      "cancelled Spot Instance request",
    );
    await terminate();
    expect(await instances()).toEqual([]);
  });

  it("is stopped by EC2 where it wants its capacity back, and started by nobody else", async () => {
    await cloud.spot.interrupt(instance);
    expect(await request()).toMatchObject({
      State: "disabled",
      Status: { Code: "instance-stopped-no-capacity", Message: expect.stringContaining("capacity") },
    });
    const { Reservations } = await cloud.ec2.send(new DescribeInstancesCommand(ids()));
    expect(Reservations?.[0]?.Instances?.[0]).toMatchObject({
      InstanceLifecycle: "spot",
      State: { Name: "stopped" },
      StateReason: { Code: "Server.SpotInstanceShutdown" },
    });
    await expect(cloud.ec2.send(new StartInstancesCommand(ids()))).rejects.toMatchObject({
      name: "IncorrectSpotRequestState",
      message: expect.stringMatching(/^You can't start the Spot Instance 'i-\w+' because/),
    });
    await cloud.spot.resume(instance);
    expect(await request()).toMatchObject({ State: "active", Status: { Code: "fulfilled" } });
    const now = (await cloud.ec2.send(new DescribeInstancesCommand(ids()))).Reservations?.[0]?.Instances?.[0];
    expect(now).toMatchObject({ State: { Name: "running" } });
    expect(now?.StateReason?.Code).not.toBe("Server.SpotInstanceShutdown");
  });

  it("can be started a while after it was stopped, and not before", async () => {
    cloud.spot.lag.seconds = 60;
    await cloud.ec2.send(new StopInstancesCommand(ids()));
    expect(await request()).toMatchObject({ State: "active", Status: { Code: "marked-for-stop" } });
    await expect(cloud.ec2.send(new StartInstancesCommand(ids()))).rejects.toThrow("appropriate state");
    cloud.spot.lag.seconds = 0;
    await cloud.ec2.send(new StartInstancesCommand(ids()));
    expect(await request()).toMatchObject({ State: "active", Status: { Code: "fulfilled" } });
  });

  it("takes with it what its request has started since somebody else terminated it", async () => {
    await terminate();
    expect(await instances()).toHaveLength(1);
    await cancel((await request())?.SpotInstanceRequestId);
    expect(await instances()).toEqual([]);
  });

  it("may have a request that AWS has forgotten", async () => {
    await cancel("sir-00000000");
    expect(await instances()).toEqual([instance]);
  });
});
