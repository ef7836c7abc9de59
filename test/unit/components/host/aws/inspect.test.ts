/** What is found out, and refused, before anything is made on AWS. */
import { createServer } from "node:http";
import { afterEach, describe, expect, it, vi } from "vitest";
import { secondVolumeProblem } from "../../../../../machine/aws/volumes.ts";
import { ACCOUNT, failing, inspectAccount as lookOver } from "../../../../support/aws.ts";
import type { Invokes } from "../../../../support/recorder.ts";

const QUOTA = "aws:servicequotas/getServiceQuota:getServiceQuota";
const INSTANCES = "aws:ec2/getInstances:getInstances";
const INSTANCE = "aws:ec2/getInstance:getInstance";
const VOLUMES = "aws:ebs/getEbsVolumes:getEbsVolumes";
const VOLUME = "aws:ebs/getVolume:getVolume";

/** Looks an account over for a stack whose state has the machine and the data volume that the account has. */
const inspectAccount: typeof lookOver = (raw, answers = {}, known) =>
  lookOver(
    raw,
    answers,
    known ?? {
      ...(INSTANCE in answers && { instance: "i-1" }),
      ...(VOLUME in answers && { volume: "vol-1" }),
    },
  );

const found = async (raw: Record<string, unknown> = {}, answers: Invokes = {}) =>
  (await inspectAccount(raw, answers)).result;

/** The message of a refusal; nothing may have been made. */
async function refusal(raw: Record<string, unknown>, answers: Invokes = {}): Promise<string> {
  try {
    await inspectAccount(raw, answers);
  } catch (error) {
    expect((error as Error).message).toContain("nothing was created");
    return (error as Error).message;
  }
  throw new Error("it was accepted");
}

/** An account with a machine of the stack's. */
const there = (
  instanceType: string,
  availabilityZone: string,
  { ami = "ami-0123456789abcdef0", size = 100, spot = false } = {},
): Invokes => ({
  [INSTANCES]: ({ filters }) => {
    const onSpot = (filters as { name: string }[]).some(({ name }) => name === "instance-lifecycle");
    return { ids: onSpot && !spot ? [] : ["i-1"] };
  },
  [INSTANCE]: () => ({ instanceType, availabilityZone, ami, rootBlockDevices: [{ volumeSize: size }] }),
});

/** What the provider answers where AWS refuses, in the form in which it reaches the program. */
const refused = (operation: string, code: string, message: string) =>
  failing(
    `invocation of aws:x returned an error: invoking aws:x: 1 error occurred:\n\t* reading x: operation error EC2: ${operation}, https response error StatusCode: 400, RequestID: 1-2, api error ${code}: ${message}\n\n`,
  );
/** What it answers where there is no such thing. */
const none = failing(
  "invoking aws:x: 1 error occurred:\n\t* Your query returned no results. Please change your search criteria and try again.\n\n",
);

describe("an account that serves the stack", () => {
  it("gives all that the machine is made from", async () => {
    const { resources, warnings, result } = await inspectAccount();
    expect(result).toEqual({
      instanceType: "g6.xlarge",
      zone: "us-east-1a",
      subnet: "subnet-us-east-1a",
      vpc: "vpc-1",
      ami: "ami-0123456789abcdef0",
      rootSize: 100,
      dataSize: 100,
      gpu: true,
      sshCidr: "203.0.113.7/32",
    });
    expect(resources.map(({ type }) => type)).toEqual(["pulumi:providers:aws"]);
    expect(warnings).toEqual([]);
  });

  it("takes the image by its id without asking for the parameter", async () => {
    const answers = { "aws:ssm/getParameter:getParameter": failing("not asked for") };
    expect((await found({ ami: "ami-0fedcba9876543210" }, answers)).ami).toBe("ami-0fedcba9876543210");
  });

  it("takes the subnet that is named, and its zone", async () => {
    const { subnet, zone } = await found({ subnet: "subnet-0123456789abcdef0" });
    expect({ subnet, zone }).toEqual({ subnet: "subnet-0123456789abcdef0", zone: "us-east-1b" });
  });

  it("knows a type without a GPU", async () => {
    expect((await found({ instanceTypes: ["t3.large"] })).gpu).toBe(false);
  });
});

describe("what is refused", () => {
  it.each<[string, Record<string, unknown>, Invokes, string[]]>([
    [
      "an image parameter that is not there",
      {},
      { "aws:ssm/getParameter:getParameter": refused("GetParameter", "ParameterNotFound", "") },
      ["gpubox:host.ami: there is no parameter", "ami-"],
    ],
    [
      "an image that is not there",
      {},
      { "aws:ec2/getAmi:getAmi": none },
      ["gpubox:host.ami: there is no image", "us-east-1", "Your query returned no results"],
    ],
    [
      "a type without NVMe disks",
      { instanceTypes: ["p3.2xlarge"] },
      {
        "aws:ec2/getInstanceType:getInstanceType": () => ({
          defaultVcpus: 8,
          gpuses: [],
          supportedArchitectures: ["x86_64"],
          hypervisor: "xen",
          ebsNvmeSupport: "unsupported",
        }),
      },
      ["gpubox:host.instanceTypes: p3.2xlarge is of a generation without NVMe disks", "g4dn.xlarge"],
    ],
    [
      "an image of another architecture",
      {},
      { "aws:ec2/getAmi:getAmi": () => ({ architecture: "arm64", blockDeviceMappings: [] }) },
      ["arm64", "g6.xlarge is x86_64"],
    ],
    [
      "a region without a default VPC",
      {},
      { "aws:ec2/getVpc:getVpc": none },
      ["create-default-vpc --region us-east-1", "gpubox:host.subnet"],
    ],
    [
      "a subnet that is not there",
      { subnet: "subnet-0123456789abcdef0" },
      { "aws:ec2/getSubnet:getSubnet": refused("DescribeSubnets", "InvalidSubnetID.NotFound", "") },
      ["gpubox:host.subnet"],
    ],
    [
      "a type that the region does not know",
      { instanceTypes: ["g99.xlarge"] },
      {
        "aws:ec2/getInstanceType:getInstanceType": refused(
          "DescribeInstanceTypes",
          "InvalidInstanceType",
          "",
        ),
      },
      ["gpubox:host.instanceTypes", "g99.xlarge"],
    ],
    [
      "a type that no zone offers",
      {},
      {
        "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": () => ({
          instanceTypes: [],
          locations: [],
        }),
      },
      ["does not offer g6.xlarge"],
    ],
    [
      "a volume that is not there",
      { dataVolume: { id: "vol-0123456789abcdef0" } },
      { [VOLUME]: none },
      ["gpubox:host.dataVolume.id", "vol-0123456789abcdef0"],
    ],
    [
      "when nothing is left to try",
      { unavailable: ["g6.xlarge/us-east-1a", "g6.xlarge/us-east-1b"] },
      {},
      ["nothing left to try", "g6.xlarge/us-east-1b"],
    ],
  ])("%s", async (_name, raw, answers, parts) => {
    const message = await refusal(raw, answers);
    for (const part of parts) expect(message).toContain(part);
  });
});

describe("a look-up that AWS does not answer", () => {
  const CALLS = {
    "aws:ssm/getParameter:getParameter": {},
    "aws:ec2/getAmi:getAmi": {},
    "aws:ec2/getVpc:getVpc": {},
    "aws:ec2/getSubnets:getSubnets": {},
    "aws:ec2/getSubnet:getSubnet": {},
    "aws:ec2/getInstanceType:getInstanceType": {},
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": {},
    [INSTANCES]: there("g6.xlarge", "us-east-1a"),
    [INSTANCE]: there("g6.xlarge", "us-east-1a"),
    [VOLUMES]: {},
    [VOLUME]: {},
  };

  it.each(Object.entries(CALLS))("%s says why, and never that there is none", async (call, others) => {
    const expired = refused(
      "X",
      "ExpiredTokenException",
      "The security token included in\nthe request is expired",
    );
    const message = await refusal({}, { ...others, [call]: expired });
    expect(message).toMatch(
      /AWS does not say [^:]+: EC2 X: ExpiredTokenException: The security token included in the request is expired: log in again, with `aws sso login`/,
    );
    expect(message).not.toMatch(/there is no|is not there|has no default|knows no/);
  });

  it("names the permission that is missing, and the command that prints them all", async () => {
    const denied = refused(
      "DescribeImages",
      "UnauthorizedOperation",
      "You are not authorized to perform: ec2:DescribeImages",
    );
    const message = await refusal({}, { "aws:ec2/getAmi:getAmi": denied });
    expect(message).toContain("ec2:DescribeImages");
    expect(message).toContain("`npm run permissions`");
  });
});

describe("the network", () => {
  const ROUTES = "aws:ec2/getRouteTable:getRouteTable";
  const route = (target: object) => () => ({
    routeTableId: "rtb-2",
    routes: [{ cidrBlock: "0.0.0.0/0", gatewayId: "", natGatewayId: "", ...target }],
  });
  const subnet = "subnet-0123456789abcdef0";
  const nat = { [ROUTES]: route({ natGatewayId: "nat-1" }) };

  it("that lets nobody in is refused for SSH, before anything is made", async () => {
    const message = await refusal({ subnet }, nat);
    for (const part of [`gpubox:host.subnet: ${subnet}`, "nat-1", "rtb-2", "session-manager"])
      expect(message).toContain(part);
  });

  it("that lets nobody in serves Session Manager", async () => {
    const raw = { subnet, access: "session-manager", sshCidr: undefined };
    expect((await found(raw, nat)).subnet).toBe(subnet);
  });

  it("without a way out is refused in any case", async () => {
    const raw = { subnet, access: "session-manager", sshCidr: undefined };
    const message = await refusal(raw, { [ROUTES]: () => ({ routeTableId: "rtb-2", routes: [] }) });
    expect(message).toContain(`${subnet} has no route to the internet (rtb-2)`);
  });

  it("leaves out the default subnets that do not serve", async () => {
    const answers: Invokes = {
      [ROUTES]: ({ subnetId }) =>
        (subnetId === "subnet-us-east-1a"
          ? route({ natGatewayId: "nat-1" })
          : route({ gatewayId: "igw-1" }))(),
    };
    expect((await found({}, answers)).zone).toBe("us-east-1b");
  });

  it("whose routes cannot be read is said, and taken", async () => {
    const { warnings, result } = await inspectAccount(
      { subnet },
      { [ROUTES]: refused("DescribeRouteTables", "UnauthorizedOperation", "no") },
    );
    expect(result.subnet).toBe(subnet);
    expect(warnings.join()).toMatch(/route to the internet was not checked.*UnauthorizedOperation/);
  });
});

describe("the quota", () => {
  it("refuses what cannot fit, with code, numbers and console path", async () => {
    const message = await refusal({}, { [QUOTA]: () => ({ value: 0 }) });
    for (const part of ["needs 4 vCPUs", "may run 0", "L-DB2E81BA", "Service Quotas >"])
      expect(message).toContain(part);
  });

  it("leaves out a type that cannot fit where another can, and says so", async () => {
    const { result, warnings } = await inspectAccount(
      { instanceTypes: ["p5.48xlarge", "g6.xlarge"] },
      { [QUOTA]: ({ quotaCode }) => ({ value: quotaCode === "L-417A185B" ? 0 : 4 }) },
    );
    expect(result.instanceType).toBe("g6.xlarge");
    expect(warnings.join()).toContain("left out: p5.48xlarge needs 192 vCPUs");
  });

  it("goes on where it cannot be read, and says so", async () => {
    const { result, warnings } = await inspectAccount({}, { [QUOTA]: failing("AccessDeniedException") });
    expect(result.instanceType).toBe("g6.xlarge");
    expect(warnings.join()).toMatch(/L-DB2E81BA .* cannot be read.*AccessDeniedException/);
  });

  it("goes on where it is not known, and says so", async () => {
    const { warnings } = await inspectAccount({ instanceTypes: ["mac2.metal"] });
    expect(warnings.join()).toContain("quota of mac2.metal is not known");
  });

  it("asks for the one of spot", async () => {
    const asked: unknown[] = [];
    const answer = (args: Record<string, unknown>) => {
      asked.push(args);
      return { value: 8 };
    };
    await found({}, { [QUOTA]: answer });
    expect(asked).toEqual([{ serviceCode: "ec2", quotaCode: "L-DB2E81BA" }]);
  });

  it("is not asked for a machine that is there", async () => {
    const answers = { ...there("g6.xlarge", "us-east-1b"), [QUOTA]: failing("not asked for") };
    expect((await inspectAccount({}, answers)).warnings).toEqual([]);
  });

  it("is asked for one that goes over to spot, or comes from it: that is another quota", async () => {
    const answers = { ...there("g6.xlarge", "us-east-1b"), [QUOTA]: () => ({ value: 0 }) };
    expect(await refusal({ spot: true }, answers)).toContain("L-3819A6DF");
    expect(await refusal({}, { ...answers, ...there("g6.xlarge", "us-east-1b", { spot: true }) })).toContain(
      "L-DB2E81BA",
    );
  });
});

describe("what is there already", () => {
  it("keeps its type and zone at the next run", async () => {
    const raw = { instanceTypes: ["g6.xlarge", "g5.xlarge"] };
    const { instanceType, zone } = await found(raw, there("g5.xlarge", "us-east-1b"));
    expect({ instanceType, zone }).toEqual({ instanceType: "g5.xlarge", zone: "us-east-1b" });
  });

  it("is looked for by what the state has, running or not, and never by a tag that another's may have", async () => {
    const asked: Record<string, unknown>[] = [];
    const answers: Invokes = {
      [INSTANCES]: (args) => {
        asked.push(args);
        return { ids: [] };
      },
    };
    await inspectAccount({}, answers, { instance: "i-7" });
    const filters = [{ name: "instance-id", values: ["i-7"] }];
    const instanceStateNames = ["pending", "running", "stopping", "stopped"];
    expect(asked).toContainEqual({ filters, instanceStateNames });
    await inspectAccount({}, { [INSTANCES]: failing("not asked for") }, {});
  });

  it("does not move to another region", async () => {
    const look = inspectAccount({ region: "us-west-2" }, {}, { instance: "i-1", region: "us-east-1" });
    await expect(look).rejects.toThrow(
      /gpubox:host\.region: stack aws is in us-east-1, .*set us-east-1 again/,
    );
  });

  it("keeps its image where a parameter has moved on, and does not ask for that", async () => {
    const answers = { "aws:ssm/getParameter:getParameter": failing("not asked for") };
    const older = { ...answers, ...there("g6.xlarge", "us-east-1a", { ami: "ami-0old" }) };
    const { result, warnings } = await inspectAccount({}, older);
    expect(result.ami).toBe("ami-0old");
    expect(warnings).toEqual([]);
  });

  it("keeps its image where AWS has that no more", async () => {
    const answers = {
      ...there("g6.xlarge", "us-east-1a", { ami: "ami-0old" }),
      "aws:ec2/getAmi:getAmi": none,
    };
    expect((await found({}, answers)).ami).toBe("ami-0old");
  });

  it("is replaced for an image that is named, and says so with the risk", async () => {
    const { result, warnings } = await inspectAccount(
      { ami: "ami-0fedcba9876543210" },
      there("g6.xlarge", "us-east-1a"),
    );
    expect(result.ami).toBe("ami-0fedcba9876543210");
    expect(warnings.join()).toMatch(
      /^i-1 will be replaced, because its image is ami-0123456789abcdef0, and ami-0fedcba9876543210 is wanted: .*system disk.*no capacity/,
    );
  });

  it.each([true, false])("is replaced where spot becomes %s, with the newest image", async (spot) => {
    const answers = there("g6.xlarge", "us-east-1a", { ami: "ami-0old", spot: !spot });
    const { result, warnings } = await inspectAccount({ spot }, answers);
    expect(result.ami).toBe("ami-0123456789abcdef0");
    expect(warnings.join()).toContain(`i-1 will be replaced, because gpubox:host.spot is ${spot} now`);
  });

  it("keeps a system disk that is larger than is asked for, and the image's need is for the next", async () => {
    expect((await found({ rootSize: 30 }, there("g6.xlarge", "us-east-1a", { size: 200 }))).rootSize).toBe(
      200,
    );
    expect((await found({ rootSize: 300 }, there("g6.xlarge", "us-east-1a", { size: 200 }))).rootSize).toBe(
      300,
    );
    expect((await found({ rootSize: 30 })).rootSize).toBe(75);
    const next = there("g6.xlarge", "us-east-1a", { size: 200 });
    expect((await found({ rootSize: 30, ami: "ami-0fedcba9876543210" }, next)).rootSize).toBe(75);
  });

  it.each([there("g6.xlarge", "us-east-1b"), {}])("refuses a smaller data volume", async (machine) => {
    const answers = { ...machine, [VOLUME]: volume("us-east-1b") };
    const message = await refusal({ dataVolume: { size: 49 } }, answers);
    for (const part of ["gpubox:host.dataVolume.size: vol-1", "has 50 GB", "set 50 or more"])
      expect(message).toContain(part);
    expect((await found({ dataVolume: { size: 51 } }, answers)).dataSize).toBe(51);
  });

  const volume =
    (zone: string, encrypted = true) =>
    () => ({ availabilityZone: zone, size: 50, encrypted });

  it("fixes the zone when it is a volume, without a word on it", async () => {
    const { result, warnings } = await inspectAccount({}, { [VOLUME]: volume("us-east-1b") });
    expect(result.zone).toBe("us-east-1b");
    expect(warnings).toEqual([]);
  });

  it("needs a subnet in the zone of its volume, and says where that is", async () => {
    const subnet = "subnet-0123456789abcdef0";
    const message = await refusal({ subnet }, { [VOLUME]: volume("us-east-1a") });
    expect(message).toContain("the data volume is in us-east-1a");
    expect(message).toContain("name one in us-east-1a as gpubox:host.subnet");
  });

  it.each([
    ["that was kept", [], {}],
    ["that somebody else's machine has", ["i-9"], {}],
    ["that its own machine has", ["i-1"], { instance: "i-1" }],
  ])("is refused a second volume beside one %s, in the words of the library", async (_, usedBy, known) => {
    const answers: Invokes = {
      ...there("g6.xlarge", "us-east-1a"),
      [VOLUMES]: () => ({ ids: ["vol-8"] }),
      [VOLUME]: volume("us-east-1b"),
      [INSTANCES]: ({ filters }) => {
        const [{ name, values }] = filters as [{ name: string; values: string[] }];
        if (name !== "block-device-mapping.volume-id") return { ids: ["i-1"] };
        expect(values).toEqual(["vol-8"]);
        return { ids: usedBy };
      },
    };
    const owner = { stack: "gpubox/aws", region: "us-east-1", known };
    const problem = secondVolumeProblem(owner, [{ id: "vol-8", zone: "us-east-1b", size: 50, usedBy }]);
    await expect(inspectAccount({ dataVolume: { size: 1 } }, answers, known)).rejects.toThrow(problem);
  });

  it("warns of a volume without encryption that is adopted", async () => {
    const raw = { dataVolume: { id: "vol-0123456789abcdef0" } };
    const { result, warnings } = await inspectAccount(raw, { [VOLUME]: volume("us-east-1a", false) });
    expect(result.dataSize).toBe(50);
    expect(warnings.join()).toContain("not encrypted");
  });
});

describe("the person's address", () => {
  afterEach(() => vi.unstubAllGlobals());

  /** Sends what goes to the service that says addresses to a server here. */
  async function withService<T>(status: number, body: string, action: () => Promise<T>): Promise<T> {
    const server = createServer((_, response) => response.writeHead(status).end(body)).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    const real = fetch;
    vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
      expect(url).toBe("https://checkip.amazonaws.com");
      return real(`http://127.0.0.1:${port}`, init);
    });
    try {
      return await action();
    } finally {
      server.close();
    }
  }

  it("is asked for on request only", async () => {
    vi.stubGlobal("fetch", failing("not asked for"));
    expect((await found()).sshCidr).toBe("203.0.113.7/32");
  });

  it("becomes the one that may log in", async () => {
    expect(
      await withService(200, "198.51.100.9\n", async () => (await found({ sshCidr: "mine" })).sshCidr),
    ).toBe("198.51.100.9/32");
  });

  it.each([
    [200, "<html>log in</html>"],
    [503, "198.51.100.9"],
  ])("is refused when the service answers %i %s", async (status, body) => {
    const message = await withService(status, body, () => refusal({ sshCidr: "mine" }));
    expect(message).toContain("gpubox:host.sshCidr");
  });
});

it("asks nothing that the account of these tests does not answer", () => {
  expect(Object.keys(ACCOUNT)).toHaveLength(11);
});
