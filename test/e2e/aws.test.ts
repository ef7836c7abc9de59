/**
 * A stack on AWS without an account: moto for its interface, containers for its machines. From nothing to a notebook and back,
 * and what goes wrong on the way.
 */
import { DeleteVolumeCommand, TerminateInstancesCommand } from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AwsStack, createAwsStack, fails, GREETING, succeeds } from "../support/aws-stack.ts";
import { QUOTAS, REGION } from "../support/cloud.ts";
import { status } from "../support/jupyter.ts";
import { describeWithDaemon } from "../support/requirements.ts";
import { throughTunnel } from "../support/tunnel.ts";

const QUOTA = { name: "Running On-Demand G and VT instances", value: 64 };
const READ_MINE = "print(open('/code/mine.txt').read(), end='')";

describeWithDaemon("a stack on AWS", () => {
  let stack: AwsStack;

  beforeAll(async () => {
    stack = await createAwsStack();
    stack.configure();
  });

  afterAll(() => stack?.end());

  const unchangedWhenLookedAt = async () => {
    const flags = ["--refresh", "--expect-no-changes", "--non-interactive"];
    succeeds(await stack.person.npm("preview", "-s", "aws", ...flags));
  };

  /** The machine of the stack, which somebody ends by other means than gpubox's. */
  const loseMachine = async () => {
    const [instance] = await stack.instances();
    const InstanceIds = [instance?.InstanceId ?? ""];
    await stack.cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds }));
    return instance;
  };

  it("is not begun where the quota is too small, and says which one to raise", async () => {
    stack.cloud.quotas.set(QUOTAS.onDemandG, { ...QUOTA, value: 0 });
    fails(await stack.start(), /L-DB2E81BA/, /4 vCPUs?/);
    fails(await stack.person.npm("preview", "-s", "aws"), /L-DB2E81BA/, /4 vCPUs?/);
    expect(stack.cloud.calls.filter((name) => /^(Create|Run|Allocate)/.test(name))).toEqual([]);
    stack.cloud.quotas.set(QUOTAS.onDemandG, QUOTA);
    const { exitCode, stdout } = await stack.person.npm("doctor", "-s", "aws", "--json");
    expect(exitCode, stdout).toBe(0);
    expect(JSON.parse(stdout).checks).toMatchObject([
      { check: "configuration" },
      { check: "AWS credentials", found: expect.stringContaining("arn:aws:") },
      { check: "quota for g6.xlarge", found: "64 vCPUs (L-DB2E81BA)", needed: "4 vCPUs" },
      { check: "price", found: expect.stringMatching(/\$/) },
    ]);
  });

  it("is shown on a terminal, with its price, before a word of the person's has it made", async () => {
    const { exitCode, stdout } = await stack.person.typed("n", "start", "-s", "aws");
    expect(exitCode, stdout).toBe(1);
    expect(stdout).toMatch(/\$\d+\.\d+\/h .*\$\d+\.\d+\/month/);
    expect(stdout).toMatch(/go on\? \[y\/N\][\s\S]*nothing was changed/);
    expect(stack.cloud.calls.filter((name) => /^(Create|Run|Allocate)/.test(name))).toEqual([]);
  });

  it("shows what cloud-init said when the machine's first start fails, and can be taken down then", async () => {
    stack.machines.alterUserData = (text) => text.replaceAll("/var/lib/gpubox/booted", "/proc/gpubox/booted");
    fails(await stack.start(), /cloud-init/, /booted/);
    stack.machines.alterUserData = (text) => text;
    succeeds(await stack.destroy());
    expect(await stack.leftovers()).toEqual([]);
    for (const { VolumeId } of await stack.volumes())
      await stack.cloud.ec2.send(new DeleteVolumeCommand({ VolumeId }));
  });

  it("comes up in the next zone where the first has no capacity, and reports each attempt", async () => {
    stack.cloud.noCapacity.add(`g6.xlarge ${REGION}a`);
    const outcome = await stack.start();
    succeeds(outcome);
    expect(outcome.silence, "while the machine is waited for, too").toBeLessThan(15);
    expect(outcome.all).toMatch(
      /attempt 1: no capacity for g6\.xlarge\/us-east-1a \(InsufficientInstanceCapacity\)/,
    );
    expect(outcome.stdout).toContain("npm run tunnel");
    expect(await stack.volumes("data")).toMatchObject([{ AvailabilityZone: `${REGION}b`, State: "in-use" }]);
    const [instance] = await stack.instances();
    expect(instance?.State?.Name).toBe("running");
    expect(instance?.MetadataOptions).toMatchObject({ HttpTokens: "required", HttpPutResponseHopLimit: 1 });
  });

  it("has a notebook behind the tunnel whose files are on the data volume", async () => {
    await throughTunnel(
      stack.person,
      async (url) => expect(await status(url, "/api/contents")).toBe(200),
      "-s aws",
    );
    const code =
      "open('/code/mine.txt', 'w').write('kept')\nprint(open('/data/greetings/greeting.txt').read(), end='')";
    expect(await stack.inNotebook(code)).toBe(GREETING);
    const [instance] = await stack.instances();
    const find = ["findmnt", "-no", "SOURCE", "/home/ubuntu/docker_mount"];
    expect(await stack.machines.run(instance?.InstanceId ?? "", ...find)).toMatch(/^\/dev\/nvme1n1/);
  });

  it("changes nothing the second time", async () => {
    const again = await stack.start();
    succeeds(again);
    expect(again.stdout).toMatch(/^unchanged/m);
    await unchangedWhenLookedAt();
  });

  it("has nothing that the policies object to", async () => {
    const outcome = await stack.person.npm("preview", "-s", "aws", "--policy-pack", "policy");
    succeeds(outcome);
    expect(outcome.all).toMatch(/gpubox.*\(local: policy\)/);
  });

  it("stops and starts again with nothing lost, at the same address", async () => {
    const before = await stack.address();
    const status = () => stack.person.npm("status", "-s", "aws");
    const running = await status();
    succeeds(running);
    expect(running.stdout).toMatch(/^container1 +up /m);
    expect(running.stdout).toMatch(/^machine: i-\w+ running for \d.*, \$\d+\.\d+/m);
    succeeds(await stack.person.npm("stop", "-s", "aws"));
    expect((await status()).stdout).toMatch(
      /^container1 +stopped [\s\S]*^machine: i-\w+ stopped, \$\d+\.\d+/m,
    );
    expect((await stack.instances()).map(({ State }) => State?.Name)).toEqual(["stopped"]);
    succeeds(await stack.start());
    expect(await stack.address()).toEqual(before);
    expect(await stack.inNotebook(READ_MINE)).toBe("kept");
  });

  it("is made again where the machine is lost, around the data volume", async () => {
    const before = await loseMachine();
    const [volume] = await stack.volumes("data");
    succeeds(await stack.start());
    const [after] = await stack.instances();
    expect(after?.InstanceId).not.toBe(before?.InstanceId);
    expect((await stack.volumes("data")).map(({ VolumeId }) => VolumeId)).toContain(volume?.VolumeId);
    expect(await stack.inNotebook(READ_MINE)).toBe("kept");
  });

  it("is taken down although its machine is gone, and leaves the data volume alone", async () => {
    await loseMachine();
    succeeds(await stack.destroy());
    expect(await stack.leftovers()).toEqual([]);
    expect(await stack.machines.list()).toEqual([]);
    expect(await stack.volumes()).toMatchObject([{ State: "available", Encrypted: true, Size: 1 }]);
    expect(await stack.volumes("data")).toHaveLength(1);
  });

  it("is not begun beside the volume that was kept, and goes on with it when it is named", async () => {
    const [kept] = await stack.volumes("data");
    const { VolumeId: id = "" } = kept ?? {};
    // It stays among what the stack's tag finds, as it goes on to cost money.
    const anew = new RegExp(`aws ec2 delete-tags .* --tags Key=gpubox\\.role --resources ${id}`);
    fails(await stack.start(), new RegExp(`dataVolume: \\{id: ${id}\\}`), anew);
    expect(await stack.leftovers()).toEqual([]);
    expect(await stack.volumes()).toHaveLength(1);
    stack.configure({ dataVolume: { id } });
    succeeds(await stack.start());
    expect(await stack.inNotebook(READ_MINE)).toBe("kept");
    expect((await stack.volumes("data")).map(({ VolumeId }) => VolumeId)).toEqual([id]);
  });

  it("becomes another type of machine in place, with everything still there", async () => {
    const [before] = await stack.instances();
    const at = await stack.address();
    const dataVolume = { id: (await stack.volumes("data"))[0]?.VolumeId };
    stack.configure({ dataVolume, instanceTypes: ["g6.2xlarge"] });
    succeeds(await stack.start());
    expect(await stack.instances()).toMatchObject([
      { InstanceId: before?.InstanceId, InstanceType: "g6.2xlarge", State: { Name: "running" } },
    ]);
    expect(await stack.address()).toEqual(at);
    expect(await stack.inNotebook(READ_MINE)).toBe("kept");
    const again = await stack.start();
    succeeds(again);
    expect(again.stdout).toMatch(/^unchanged/m);
    await unchangedWhenLookedAt();
  });

  it("is taken down while it is stopped, and leaves a volume that it adopted", async () => {
    succeeds(await stack.person.npm("stop", "-s", "aws"));
    succeeds(await stack.destroy());
    expect(await stack.leftovers()).toEqual([]);
    expect(await stack.machines.list()).toEqual([]);
    expect(await stack.volumes("data")).toMatchObject([{ State: "available" }]);
  });
});
