/** What is run when a spot instance goes, against an interface that treats requests as AWS does; without machines. */
import {
  DescribeInstancesCommand,
  DescribeSpotInstanceRequestsCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { execa } from "execa";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ROOT } from "../../cli/context.ts";
import { AMI, type Cloud, REGION, startCloud } from "../support/cloud.ts";
import { describeWithDaemon } from "../support/requirements.ts";

describeWithDaemon("a spot instance that goes", () => {
  let cloud: Cloud;
  let instance: string;

  beforeEach(async () => {
    cloud = await startCloud();
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
  afterEach(() => cloud.end());

  async function request() {
    const answer = await cloud.ec2.send(new DescribeSpotInstanceRequestsCommand({}));
    return answer.SpotInstanceRequests?.[0];
  }

  /** Ids of all instances that are not terminated. */
  async function instances(): Promise<(string | undefined)[]> {
    const { Reservations = [] } = await cloud.ec2.send(new DescribeInstancesCommand({}));
    return Reservations.flatMap(({ Instances = [] }) => Instances)
      .filter(({ State }) => State?.Name !== "terminated")
      .map(({ InstanceId }) => InstanceId);
  }

  const ids = () => ({ InstanceIds: [instance] });
  const terminate = () => cloud.ec2.send(new TerminateInstancesCommand(ids()));

  async function cancel(REQUEST = ""): Promise<void> {
    const env = { ...cloud.env, REGION, PROFILE: "", REQUEST, INSTANCE: instance };
    await execa("node", ["components/host/aws/cancel-spot-request.ts"], { cwd: ROOT, env });
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
