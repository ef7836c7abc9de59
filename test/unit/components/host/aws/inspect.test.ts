/** What is found out, and refused, before anything is made on AWS. */
import { createServer } from "node:http";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ACCOUNT, failing, inspectAccount } from "../../../../support/aws.ts";
import type { Invokes } from "../../../../support/recorder.ts";

const QUOTA = "aws:servicequotas/getServiceQuota:getServiceQuota";
const INSTANCES = "aws:ec2/getInstances:getInstances";
const INSTANCE = "aws:ec2/getInstance:getInstance";
const VOLUMES = "aws:ebs/getEbsVolumes:getEbsVolumes";
const VOLUME = "aws:ebs/getVolume:getVolume";

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

const there = (instanceType: string, availabilityZone: string): Invokes => ({
  [INSTANCES]: () => ({ ids: ["i-1"] }),
  [INSTANCE]: () => ({ instanceType, availabilityZone }),
});

describe("an account that serves the stack", () => {
  it("gives all that the machine is made from", async () => {
    const { resources, warnings, result } = await inspectAccount();
    expect(result).toEqual({
      instanceType: "g6.xlarge",
      zone: "us-east-1a",
      subnet: "subnet-us-east-1a",
      vpc: "vpc-1",
      ami: "ami-0123456789abcdef0",
      architecture: "amd64",
      imageSize: 75,
      gpu: true,
      adoptedSize: undefined,
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
      "an image parameter that cannot be read",
      {},
      { "aws:ssm/getParameter:getParameter": failing("AccessDenied") },
      ["gpubox:host.ami", "AccessDenied", "ami-"],
    ],
    [
      "an image that is not there",
      {},
      { "aws:ec2/getAmi:getAmi": failing("no results") },
      ["gpubox:host.ami", "us-east-1"],
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
      { "aws:ec2/getVpc:getVpc": failing("no matching") },
      ["create-default-vpc --region us-east-1", "gpubox:host.subnet"],
    ],
    [
      "a subnet that is not there",
      { subnet: "subnet-0123456789abcdef0" },
      { "aws:ec2/getSubnet:getSubnet": failing("not found") },
      ["gpubox:host.subnet"],
    ],
    [
      "a type that the region does not know",
      { instanceTypes: ["g99.xlarge"] },
      { "aws:ec2/getInstanceType:getInstanceType": failing("InvalidInstanceType") },
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
      { [VOLUME]: failing("not found") },
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
    const { warnings } = await inspectAccount({ instanceTypes: ["t3.large"] });
    expect(warnings.join()).toContain("quota of t3.large is not known");
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
});

describe("what is there already", () => {
  it("keeps its type and zone at the next run", async () => {
    const raw = { instanceTypes: ["g6.xlarge", "g5.xlarge"] };
    const { instanceType, zone } = await found(raw, there("g5.xlarge", "us-east-1b"));
    expect({ instanceType, zone }).toEqual({ instanceType: "g5.xlarge", zone: "us-east-1b" });
  });

  it("is looked for by the stack's tag, running or not", async () => {
    let asked: Record<string, unknown> = {};
    await found(
      {},
      {
        [INSTANCES]: (args) => {
          asked = args;
          return { ids: [] };
        },
      },
    );
    expect(asked).toEqual({
      filters: [{ name: "tag:gpubox.stack", values: ["gpubox/aws"] }],
      instanceStateNames: ["pending", "running", "stopping", "stopped"],
    });
  });

  const volume =
    (zone: string, encrypted = true) =>
    () => ({ availabilityZone: zone, size: 50, encrypted });

  it("fixes the zone when it is a volume, and says how to go on with its files", async () => {
    const { result, warnings } = await inspectAccount(
      {},
      { [VOLUMES]: () => ({ ids: ["vol-1"] }), [VOLUME]: volume("us-east-1b") },
    );
    expect(result.zone).toBe("us-east-1b");
    expect(warnings.join()).toContain("gpubox:host.dataVolume: {id: vol-1}");
  });

  it("is not guessed at when there are several volumes", async () => {
    const answers = { [VOLUMES]: () => ({ ids: ["vol-1", "vol-2"] }), [VOLUME]: volume("us-east-1b") };
    const message = await refusal({}, answers);
    for (const part of ["vol-1", "vol-2", "gpubox:host.dataVolume.id", "delete-volume"])
      expect(message).toContain(part);
  });

  it("says nothing of the volume of a machine that is there", async () => {
    const answers = { [VOLUMES]: () => ({ ids: ["vol-1", "vol-2"] }), [VOLUME]: volume("us-east-1b") };
    const { result, warnings } = await inspectAccount(
      {},
      { ...answers, ...there("g6.xlarge", "us-east-1b") },
    );
    expect(result.zone).toBe("us-east-1b");
    expect(warnings).toEqual([]);
  });

  it("warns of a volume without encryption that is adopted", async () => {
    const raw = { dataVolume: { id: "vol-0123456789abcdef0" } };
    const { result, warnings } = await inspectAccount(raw, { [VOLUME]: volume("us-east-1a", false) });
    expect(result.adoptedSize).toBe(50);
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
  expect(Object.keys(ACCOUNT)).toHaveLength(10);
});
