import { expect, it } from "vitest";
import { knownOf } from "../../../../../components/host/aws/known.ts";

it("reads what a stack has off its state, and nothing where it is new", () => {
  const arn = (what: string) => ({ arn: `arn:aws-cn:ec2:cn-north-1:123456789012:${what}` });
  expect(knownOf({})).toEqual({});
  expect(
    knownOf({
      a: { type: "aws:ec2/instance:Instance", outputs: arn("instance/i-1") },
      b: { type: "aws:ebs/volume:Volume", outputs: arn("volume/vol-1") },
    }),
  ).toEqual({ instance: "i-1", volume: "vol-1", region: "cn-north-1" });
  expect(knownOf({ b: { type: "aws:ebs/volume:Volume", outputs: arn("volume/vol-1") } })).toEqual({
    volume: "vol-1",
    region: "cn-north-1",
  });
});
