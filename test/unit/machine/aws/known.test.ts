import { expect, it } from "vitest";
import { knownOf, placeOf } from "../../../../machine/aws/known.ts";

const arn = (what: string) => ({ arn: `arn:aws-cn:ec2:cn-north-1:123456789012:${what}` });
const instance = { type: "aws:ec2/instance:Instance", outputs: arn("instance/i-1") };
const volume = { type: "aws:ebs/volume:Volume", outputs: arn("volume/vol-1") };

it("reads what a stack has off its state, and nothing where it is new", () => {
  expect(knownOf([])).toEqual({});
  expect(knownOf([instance, volume])).toEqual({ instance: "i-1", volume: "vol-1", region: "cn-north-1" });
  expect(knownOf([volume])).toEqual({ volume: "vol-1", region: "cn-north-1" });
});

it("knows the region and the account of a stack by what it has", () => {
  const place = { region: "cn-north-1", account: "123456789012" };
  expect(placeOf([volume])).toMatchObject(place);
  expect(placeOf([volume, instance])).toMatchObject({ ...place, id: "i-1" });
  expect(placeOf([])).toBeUndefined();
});
