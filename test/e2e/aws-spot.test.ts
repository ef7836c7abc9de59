/**
 * The other ways of a stack on AWS: spare capacity, nothing open to the outside, data from S3, and a volume that goes with the
 * stack. What stands for AWS is described in test/aws/README.md.
 */
import { fileURLToPath } from "node:url";
import {
  DescribeInstancesCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSnapshotsCommand,
} from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AwsStack, createAwsStack, succeeds } from "../support/aws-stack.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const PATH = fileURLToPath(new URL("../aws/session-manager", import.meta.url));

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
    stack.configure(
      {
        access: "session-manager",
        sshCidr: undefined,
        spot: true,
        dataVolume: { size: 1, keep: false },
      },
      { data: [{ url: "s3://pets/v1", folder: "pets" }] },
    );
  });

  afterAll(() => stack?.end());

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
    const [request] = stack.cloud.spotRequests;
    expect(request).toMatchObject({ instance: instance?.InstanceId, state: "active" });
  });

  it("changes nothing the second time", async () => {
    const again = await stack.start();
    succeeds(again);
    expect(again.stdout).toMatch(/^unchanged/m);
  });

  it("is taken down with its request before its machine, and its volume after a snapshot", async () => {
    const [volume] = await stack.volumes("data");
    succeeds(await stack.destroy());
    expect(stack.cloud.spotRequests.map(({ state }) => state)).toEqual(["cancelled"]);
    // Whoever's tags it carries.
    const { Reservations = [] } = await stack.cloud.ec2.send(new DescribeInstancesCommand({}));
    const states = Reservations.flatMap(({ Instances = [] }) => Instances).map(({ State }) => State?.Name);
    expect(new Set(states)).toEqual(new Set(["terminated"]));
    expect(await stack.leftovers()).toEqual([]);
    expect(await stack.volumes()).toEqual([]);
    const { Snapshots = [] } = await stack.cloud.ec2.send(
      new DescribeSnapshotsCommand({ Filters: [{ Name: "volume-id", Values: [volume?.VolumeId ?? ""] }] }),
    );
    expect(Snapshots).toHaveLength(1);
  });
});
