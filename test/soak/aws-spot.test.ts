/**
 * The other ways of a stack on AWS: spare capacity, nothing open to the outside, data from S3, and a volume that goes with the
 * stack. What stands for AWS is described in test/aws/README.md.
 */
import { fileURLToPath } from "node:url";
import {
  CancelSpotInstanceRequestsCommand,
  DescribeInstancesCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSnapshotsCommand,
  DescribeSpotInstanceRequestsCommand,
} from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compareCalls } from "../../machine/aws/calls.ts";
import { type AwsStack, createAwsStack, fails, NO_CHANGES, succeeds } from "../support/aws-stack.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const PATH = fileURLToPath(new URL("../aws/session-manager", import.meta.url));

const HOST = {
  access: "session-manager",
  sshCidr: undefined,
  spot: true,
  dataVolume: { size: 1, keep: false },
};
const DATA = { data: [{ url: "s3://pets/v1", folder: "pets" }] };

describeWithDaemon("a stack on spot, by Session Manager", () => {
  let stack: AwsStack;

  beforeAll(async () => {
    stack = await createAwsStack({ path: PATH });
    // Moto takes unsigned requests for S3's alone.
    for (const [path, body] of [
      ["pets", ""],
      ["pets/v1/cats/1.txt", "cat"],
      ["pets/v1/readme", "pets"],
      ["pets/v2/readme", "not asked for"],
    ])
      expect((await fetch(`${stack.cloud.url}/${path}`, { method: "PUT", body })).status).toBe(200);
    stack.configure(HOST, DATA);
  });

  afterAll(() => stack?.end());

  async function requests() {
    const answer = await stack.cloud.ec2.send(new DescribeSpotInstanceRequestsCommand({}));
    return answer.SpotInstanceRequests ?? [];
  }

  it("is not begun where one of Session Manager's programs is missing, and says which", async () => {
    const without = `PATH=$(printf %s "$PATH" | tr : '\n' | grep -v session-manager | paste -sd :)`;
    const outcome = await stack.person.sh(`${without} node cli/gpubox.mjs up -s aws`);
    fails(outcome, /session-manager needs the program (aws|session-manager-plugin)/);
    expect(stack.makingCalls()).toEqual([]);
  });

  it("comes up with nothing open, and has its data from S3", async () => {
    const outcome = await stack.start();
    succeeds(outcome);
    const { SecurityGroupRules = [] } = await stack.cloud.ec2.send(
      new DescribeSecurityGroupRulesCommand({
        Filters: [{ Name: "tag:gpubox.stack", Values: ["gpubox/aws"] }],
      }),
    );
    expect(SecurityGroupRules.filter(({ IsEgress }) => !IsEgress)).toEqual([]);
    expect(SecurityGroupRules).toHaveLength(1);
    const list =
      "import pathlib\nfor path in sorted(pathlib.Path('/data/pets').rglob('*')):\n  if path.is_file(): print(path, path.read_text().strip())";
    expect(await stack.inNotebook(list)).toBe(
      '/data/pets/.gpubox.json {"s3": "s3://pets/v1"}\n/data/pets/cats/1.txt cat\n/data/pets/readme pets\n',
    );
    const [instance] = await stack.instances();
    expect(await requests()).toMatchObject([
      {
        InstanceId: instance?.InstanceId,
        State: "active",
        Type: "persistent",
        InstanceInterruptionBehavior: "stop",
      },
    ]);
  });

  it("may read that folder of S3 and no other", async () => {
    const [instance] = await stack.instances();
    const aws = (line: string) =>
      stack.machines.run(instance?.InstanceId ?? "", "sh", "-c", `aws s3 ${line}`);
    expect(await aws("cp s3://pets/v1/readme -")).toContain("pets");
    await expect(aws("ls s3://pets/v2/")).rejects.toThrow("AccessDenied");
    await expect(aws("cp s3://pets/v2/readme -")).rejects.toThrow("403");
  });

  it("changes nothing the second time", async () => {
    const again = await stack.start();
    succeeds(again);
    expect(again.stdout).toMatch(/^unchanged/m);
  });

  it("is said to be taken back where AWS stops it, and goes on once AWS has started it again", async () => {
    const [instance] = await stack.instances();
    const id = instance?.InstanceId ?? "";
    await stack.cloud.spot.interrupt(id);
    const status = await stack.person.npm("status", "-s", "aws");
    expect(status.all).toMatch(/a spot instance that AWS interrupted \(instance-stopped-no-capacity\)/);
    const refused = await stack.start();
    fails(
      refused,
      new RegExp(`${id} is a spot instance that AWS interrupted`),
      /`spot: false` in gpubox:host/,
    );
    await stack.cloud.spot.resume(id);
    const again = await stack.start();
    succeeds(again);
    expect(again.stdout).toMatch(/^unchanged/m);
  });

  it("is replaced without its request where spot is given up while AWS has it, with what is on its volume", async () => {
    const [before] = await stack.instances();
    await stack.cloud.spot.interrupt(before?.InstanceId ?? "");
    stack.configure({ ...HOST, spot: false }, DATA);
    // What is lost has to be agreed to.
    fails(
      await stack.start(),
      new RegExp(`${before?.InstanceId}: the machine is replaced: .*system disk`),
      /--yes/,
    );
    expect((await stack.instances()).map(({ InstanceId }) => InstanceId)).toEqual([before?.InstanceId]);
    succeeds(await stack.person.npm("start", "-s", "aws", "--yes"));
    const [after, ...others] = await stack.instances();
    expect(others).toEqual([]);
    expect(after?.InstanceId).not.toBe(before?.InstanceId);
    expect(after?.SpotInstanceRequestId).toBeUndefined();
    expect((await requests()).map(({ State }) => State)).toEqual(["cancelled"]);
    expect(await stack.inNotebook("print(open('/data/pets/readme').read(), end='')")).toBe("pets");
    succeeds(await stack.preview(...NO_CHANGES));
  });

  it("goes back to spot, and is ended and made again where somebody has cancelled its request", async () => {
    stack.configure(HOST, DATA);
    succeeds(await stack.person.npm("start", "-s", "aws", "--yes"));
    const [before] = await stack.instances();
    const SpotInstanceRequestIds = [before?.SpotInstanceRequestId ?? ""];
    await stack.cloud.ec2.send(new CancelSpotInstanceRequestsCommand({ SpotInstanceRequestIds }));
    fails(
      await stack.person.npm("stop", "-s", "aws"),
      /whose request was cancelled, so AWS can no longer stop it/,
    );
    fails(await stack.start(), /the machine is replaced/, /--yes/);
    // By then AWS has forgotten it.
    const forgotten = {
      status: 400,
      code: "InvalidSpotInstanceRequestID.NotFound",
      message: "It does not exist",
    };
    stack.cloud.failures.set("CancelSpotInstanceRequests", forgotten);
    succeeds(await stack.person.npm("start", "-s", "aws", "--yes"));
    stack.cloud.failures.clear();
    const [after, ...others] = await stack.instances();
    expect(others).toEqual([]);
    expect(after?.InstanceId).not.toBe(before?.InstanceId);
    succeeds(await stack.preview(...NO_CHANGES));
  });

  it("is rid from here of what gpubox put on its volume", async () => {
    const outcome = await stack.person.npm("purge", "--yes", "-s", "aws");
    succeeds(outcome);
    expect(outcome.all).toMatch(/^data\/pets {2}0\.\d MB .*the next `npm start -- -s aws` brings it back/m);
    expect(await stack.inNotebook("import os\nprint(os.path.exists('/data/pets'))")).toBe("False\n");
  });

  it("is taken down with its request before its machine, and its volume after a snapshot", async () => {
    const [volume] = await stack.volumes("data");
    const before = stack.cloud.calls.length;
    succeeds(await stack.destroy());
    const calls = stack.cloud.calls.slice(before).filter((name) => /^(Stop|Cancel|Terminate)/.test(name));
    // The volume is taken off a machine that stands still, and without its request AWS stops none. The plugin cancels it, too.
    expect([...new Set(calls)]).toEqual([
      "StopInstances",
      "CancelSpotInstanceRequests",
      "TerminateInstances",
    ]);
    expect(new Set((await requests()).map(({ State }) => State))).toEqual(new Set(["cancelled"]));
    // What a request starts carries nobody's tags.
    const { Reservations = [] } = await stack.cloud.ec2.send(new DescribeInstancesCommand({}));
    const states = Reservations.flatMap(({ Instances = [] }) => Instances).map(({ State }) => State?.Name);
    expect(new Set(states)).toEqual(new Set(["terminated"]));
    expect(await stack.leftovers()).toEqual([]);
    expect(await stack.volumes()).toEqual([]);
    const { Snapshots = [] } = await stack.cloud.ec2.send(
      new DescribeSnapshotsCommand({ Filters: [{ Name: "volume-id", Values: [volume?.VolumeId ?? ""] }] }),
    );
    expect(Snapshots).toMatchObject([{ State: "completed" }]);
  });

  it("has called nothing that the policy of `npm run permissions` does not permit", () => {
    expect(compareCalls(stack.cloud.actions).notPermitted).toEqual([]);
  });
});
