/** A stack on AWS whose machines fail, go or change: the data volume outlives them all. test/e2e/aws.test.ts has the rest. */
import { DeleteVolumeCommand, RunInstancesCommand, TerminateInstancesCommand } from "@aws-sdk/client-ec2";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AwsStack, createAwsStack, fails, MINE, NO_CHANGES, succeeds } from "../support/aws-stack.ts";
import { AMI } from "../support/cloud.ts";
import { describeWithDaemon } from "../support/requirements.ts";

describeWithDaemon("a stack on AWS whose machine does not last", () => {
  let stack: AwsStack;

  beforeAll(async () => {
    stack = await createAwsStack();
    stack.configure();
  });

  afterAll(() => stack?.end());

  /** The machine of the stack, which somebody ends by other means than gpubox's. */
  const loseMachine = async () => {
    const [instance] = await stack.instances();
    const InstanceIds = [instance?.InstanceId ?? ""];
    await stack.cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds }));
    return instance;
  };

  it("has a preview that says where the quota is too small for one", async () => {
    await stack.withoutQuota(async () => fails(await stack.preview(), /L-DB2E81BA/, /4 vCPUs?/));
    expect(stack.makingCalls()).toEqual([]);
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

  it("gets another where it is lost, around the data volume", async () => {
    succeeds(await stack.start());
    await stack.inNotebook(MINE.write);
    const before = await loseMachine();
    const [volume] = await stack.volumes("data");
    succeeds(await stack.start());
    const [after] = await stack.instances();
    expect(after?.InstanceId).not.toBe(before?.InstanceId);
    expect((await stack.volumes("data")).map(({ VolumeId }) => VolumeId)).toContain(volume?.VolumeId);
    expect(await stack.inNotebook(MINE.read)).toBe("kept");
  });

  it("has one ended that a killed run was making, and leaves another's of the same name alone", async () => {
    const [own] = await stack.instances();
    const Tags = [{ Key: "gpubox.stack", Value: "gpubox/aws" }];
    const launch = async (KeyName: string | undefined) => {
      const answer = await stack.cloud.moto.send(
        new RunInstancesCommand({
          ...{ MinCount: 1, MaxCount: 1, ImageId: AMI, InstanceType: "g6.xlarge", KeyName },
          TagSpecifications: [{ ResourceType: "instance", Tags }],
        }),
      );
      return answer.Instances?.[0]?.InstanceId ?? "";
    };
    const stray = await launch(own?.KeyName);
    const others = await launch(undefined);
    const outcome = await stack.start();
    succeeds(outcome);
    expect(outcome.all).toContain(`${stray}: terminating it`);
    const left = (await stack.instances()).map(({ InstanceId }) => InstanceId);
    expect(left.sort()).toEqual([own?.InstanceId, others].sort());
    await stack.cloud.moto.send(new TerminateInstancesCommand({ InstanceIds: [others] }));
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
    expect(await stack.inNotebook(MINE.read)).toBe("kept");
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
    expect(await stack.inNotebook(MINE.read)).toBe("kept");
    const again = await stack.start();
    succeeds(again);
    expect(again.stdout).toMatch(/^unchanged/m);
    succeeds(await stack.preview(...NO_CHANGES));
  });

  it("is taken down while it is stopped, and leaves a volume that it adopted", async () => {
    succeeds(await stack.person.npm("stop", "-s", "aws"));
    const stopped = await stack.person.npm("status", "-s", "aws");
    expect(stopped.stdout).toMatch(/^container1 +stopped [\s\S]*^machine: i-\w+ stopped, \$\d+\.\d+/m);
    succeeds(await stack.destroy());
    expect(await stack.leftovers()).toEqual([]);
    expect(await stack.machines.list()).toEqual([]);
    expect(await stack.volumes("data")).toMatchObject([{ State: "available" }]);
  });
});
