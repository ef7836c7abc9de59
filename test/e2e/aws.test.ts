/**
 * A stack on AWS without an account: moto for its interface, a container for its machine. From nothing to a notebook and back on one
 * machine; what takes more of them, or other ways to one, is in test/soak/aws-*.test.ts.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { compareCalls } from "../../machine/aws/calls.ts";
import {
  type AwsStack,
  createAwsStack,
  fails,
  GREETING,
  MINE,
  NO_CHANGES,
  succeeds,
} from "../support/aws-stack.ts";
import { AMI_PARAMETER, REGION } from "../support/cloud.ts";
import { execute, status } from "../support/jupyter.ts";
import { describeWithDaemon } from "../support/requirements.ts";
import { throughTunnel } from "../support/tunnel.ts";

describeWithDaemon("a stack on AWS", () => {
  let stack: AwsStack;

  beforeAll(async () => {
    stack = await createAwsStack();
    stack.configure();
  });

  afterAll(() => stack?.end());

  it("is not begun where the quota is too small, and says which one to raise", async () => {
    await stack.withoutQuota(async () => fails(await stack.start(), /L-DB2E81BA/, /4 vCPUs?/));
    expect(stack.makingCalls()).toEqual([]);
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
    expect(stack.makingCalls()).toEqual([]);
  });

  it("comes up in the next zone where the first has no capacity, and reports each attempt", async () => {
    stack.cloud.noCapacity.add(`g6.xlarge ${REGION}a`);
    stack.cloud.prices.set("g6.xlarge", 0.9);
    const outcome = await stack.start();
    succeeds(outcome);
    expect(outcome.silence, "while the machine is waited for, too").toBeLessThan(40);
    expect(outcome.all).toMatch(
      /attempt 1: no capacity for g6\.xlarge\/us-east-1a \(InsufficientInstanceCapacity\)/,
    );
    expect(outcome.stdout).toContain("npm run tunnel");
    expect(outcome.all).toMatch(
      /price: g6\.xlarge in us-east-1: \$0\.92\/h .*asked of AWS's price list, valid since 2026-11-01/,
    );
    stack.cloud.prices.clear();
    expect(await stack.volumes("data")).toMatchObject([{ AvailabilityZone: `${REGION}b`, State: "in-use" }]);
    const [instance] = await stack.instances();
    expect(instance?.State?.Name).toBe("running");
    expect(instance?.MetadataOptions).toMatchObject({ HttpTokens: "required", HttpPutResponseHopLimit: 1 });
  });

  it("has a notebook behind the tunnel whose files are on the data volume", async () => {
    const code = `${MINE.write}\nprint(open('/data/greetings/greeting.txt').read(), end='')`;
    await throughTunnel(
      stack.person,
      async (url) => {
        expect(await status(url, "/api/contents")).toBe(200);
        expect(await execute(url, code)).toEqual({ output: GREETING, error: undefined });
      },
      "-s aws",
    );
    const [instance] = await stack.instances();
    const find = ["findmnt", "-no", "SOURCE", "/home/ubuntu/docker_mount"];
    expect(await stack.machines.run(instance?.InstanceId ?? "", ...find)).toMatch(/^\/dev\/nvme1n1/);
  });

  it("has its data volume grown while it runs, with other tags, another network and another idle stop", async () => {
    const [before] = await stack.instances();
    const id = before?.InstanceId ?? "";
    const container = await stack.machines.run(id, "docker", "ps", "--quiet");
    stack.configure({
      dataVolume: { size: 2 },
      sshCidr: "203.0.113.8/32",
      tags: { team: "vision" },
      stopAfterIdle: 30,
    });
    succeeds(await stack.start());
    expect(await stack.instances()).toMatchObject([{ InstanceId: id, State: { Name: "running" } }]);
    expect(await stack.machines.run(id, "docker", "ps", "--quiet"), "the notebook goes on").toBe(container);
    expect(await stack.machines.run(id, "blockdev", "--getsize64", "/dev/nvme1n1")).toBe(`${2 * 2 ** 30}\n`);
    expect(await stack.machines.run(id, "cat", "/usr/local/lib/gpubox/idle.conf")).toContain(
      "STOP_AFTER=30\n",
    );
  });

  it("shows no change in a preview that looks at it, and has nothing that the policies object to", async () => {
    const outcome = await stack.preview(...NO_CHANGES, "--policy-pack", "policy");
    succeeds(outcome);
    expect(outcome.all).toMatch(/gpubox.*\(local: policy\)/);
  });

  it("is left alone where somebody of another account looks at it, who finds nothing there", async () => {
    const { id } = stack.cloud.account;
    stack.cloud.account.id = "210987654321";
    const before = stack.cloud.calls.length;
    const ways = [
      ["stop", "-s", "aws"],
      ["start", "-s", "aws"],
      ["destroy", "-s", "aws", "--yes"],
    ] as const;
    for (const [script, ...args] of ways) {
      const outcome = await stack.person.npm(script, ...args);
      fails(outcome, /is in account 123456789012, but your credentials are .*210987654321/);
    }
    const changing = stack.cloud.calls.slice(before).filter((name) => !/^(Get|Describe)/.test(name));
    expect(changing).toEqual([]);
    stack.cloud.account.id = id;
  });

  it("stops, and starts again with nothing lost or changed, at the same address", async () => {
    const before = await stack.address();
    const running = await stack.person.npm("status", "-s", "aws");
    succeeds(running);
    expect(running.stdout).toMatch(/^container1 +up /m);
    expect(running.stdout).toMatch(/^machine: i-\w+ running for \d.*, \$\d+\.\d+/m);
    succeeds(await stack.person.npm("stop", "-s", "aws"));
    expect((await stack.instances()).map(({ State }) => State?.Name)).toEqual(["stopped"]);
    const again = await stack.start();
    succeeds(again);
    expect(again.stdout).toMatch(/^unchanged/m);
    expect(await stack.address()).toEqual(before);
    expect(await stack.inNotebook(MINE.read)).toBe("kept");
    // Where this machine's kernel does not let a container grow what is mounted, it was grown before it was mounted again.
    const [instance] = await stack.instances();
    const df = ["df", "--output=size", "--block-size=1M", "/home/ubuntu/docker_mount"];
    const size = (await stack.machines.run(instance?.InstanceId ?? "", ...df)).split("\n")[1];
    expect(Number(size)).toBeGreaterThan(1900);
  });

  it("is taken down, and leaves the data volume, which it names", async () => {
    const outcome = await stack.destroy();
    succeeds(outcome);
    expect(await stack.leftovers()).toEqual([]);
    expect(await stack.machines.list()).toEqual([]);
    const volumes = await stack.volumes();
    expect(volumes).toMatchObject([{ State: "available", Encrypted: true, Size: 2 }]);
    expect(await stack.volumes("data")).toEqual(volumes);
    expect(outcome.all).toContain(`dataVolume: {id: ${volumes[0]?.VolumeId}}`);
  });

  it("has called what the policy of `npm run permissions` permits, and nothing else", () => {
    const plain = { access: "ssh", spot: false, s3: false, leavesSnapshot: false } as const;
    const needs = { stack: "gpubox/aws", region: REGION, ami: AMI_PARAMETER, ...plain };
    expect(compareCalls(stack.cloud.actions, needs)).toEqual({ notPermitted: [], neverCalled: [] });
  });
});
