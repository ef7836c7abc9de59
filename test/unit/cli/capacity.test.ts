/** The commands on a stack whose machine is on AWS: the next try without capacity, and what is left. */
import { describe, expect, it } from "vitest";
import { whatStaysOnAws } from "../../../cli/aws.ts";
import { emptyVolume, failedLaunch, withoutKeeping } from "../../../cli/capacity.ts";
import { summary } from "../../../cli/outputs.ts";
import type { State, StateResource } from "../../../cli/state.ts";

const URN =
  "urn:pulumi:aws::gpubox::gpubox:host:AwsHost$gpubox:host:AwsMachine$aws:ec2/instance:Instance::aws-machine-instance";

/** What the engine writes down of a launch that failed. */
const events = (
  message: string,
  urn = URN,
  inputs: object = { instanceType: "g6.xlarge", availabilityZone: "us-east-1a" },
) =>
  [
    { sequence: 1, preludeEvent: { config: {} } },
    {
      sequence: 2,
      resourcePreEvent: {
        metadata: {
          op: "create",
          urn: "urn:other",
          type: "aws:ebs/volume:Volume",
          old: null,
          new: { inputs: {} },
        },
      },
    },
    {
      sequence: 3,
      resourcePreEvent: {
        metadata: { op: "create", urn: URN, type: "aws:ec2/instance:Instance", old: null, new: { inputs } },
      },
    },
    { sequence: 4, diagnosticEvent: { urn, prefix: "error: ", message, color: "never", severity: "error" } },
    { sequence: 5, diagnosticEvent: { message: "update failed", color: "never", severity: "error" } },
  ]
    .map((each) => `${JSON.stringify(each)}\n`)
    .join("");
const answer = (code: string) =>
  `creating EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: 500, RequestID: x, api error ${code}: We currently do not have sufficient capacity`;

describe("a launch that failed", () => {
  it.each([
    "InsufficientInstanceCapacity",
    "Unsupported",
    "MaxSpotInstanceCountExceeded",
  ])("with %s is tried elsewhere", (code) => {
    expect(failedLaunch(events(answer(code)))).toEqual({ placement: "g6.xlarge/us-east-1a", code });
  });

  it.each([
    "VcpuLimitExceeded",
    "UnauthorizedOperation",
    "UnsupportedOperation",
    "InvalidParameterValue",
  ])("with %s is not", (code) => {
    expect(failedLaunch(events(answer(code)))).toBeUndefined();
  });

  it("is told from what else failed", () => {
    expect(failedLaunch(events(answer("InsufficientInstanceCapacity"), "urn:other"))).toBeUndefined();
    expect(failedLaunch("")).toBeUndefined();
    expect(failedLaunch(events(answer("InsufficientInstanceCapacity"), URN, {}))).toBeUndefined();
  });
});

describe("the volume of an attempt", () => {
  const since = Date.parse("2026-01-01T12:00:00Z");
  const volume: StateResource = {
    urn: "urn:volume",
    type: "aws:ebs/volume:Volume",
    id: "vol-1",
    created: "2026-01-01T12:00:01Z",
    retainOnDelete: true,
    inputs: { size: 100 },
    outputs: { finalSnapshot: true },
  };
  const state = (...resources: StateResource[]): State => ({ version: 3, deployment: { resources } });
  const of = (type: string): StateResource => ({ urn: `urn:${type}`, type });

  it("is found when this run made it", () => {
    expect(emptyVolume(state(of("aws:ec2/eip:Eip"), volume), since)).toBe(volume);
  });

  it("is never one that may hold something", () => {
    expect(emptyVolume(state(volume), since + 60_000)).toBeUndefined();
    expect(emptyVolume(state({ ...volume, created: undefined }), since)).toBeUndefined();
    expect(emptyVolume(state(volume, of("aws:ec2/instance:Instance")), since)).toBeUndefined();
    expect(
      emptyVolume(state(volume, of("aws:ec2/volumeAttachment:VolumeAttachment")), since),
    ).toBeUndefined();
  });

  it("goes without a trace, and nothing else changes", () => {
    const other = { ...volume, urn: "urn:other" };
    expect(withoutKeeping(state(other, volume), volume).deployment.resources).toEqual([
      other,
      {
        ...volume,
        retainOnDelete: false,
        inputs: { size: 100, finalSnapshot: false },
        outputs: { finalSnapshot: false },
      },
    ]);
  });
});

describe("what the person is told", () => {
  it("has the price", () => {
    const connection = { address: "198.51.100.7" };
    const cost = { running: "$0.83/h", stopped: "$19.65/month" };
    const machine = { instance: "i-1", dataVolume: "vol-1", connection, cost };
    expect(summary({ machine }, "aws")).toContain(
      "machine: i-1, $0.83/h while it runs, $19.65/month while it is stopped",
    );
    expect(summary({}, "dev")).not.toContain("machine:");
  });

  it("names what stays after destroy, how to use it again and how to be rid of it", () => {
    const text = whatStaysOnAws("aws", { region: "us-east-1" }, "vol-1");
    expect(text).toContain("dataVolume: {id: vol-1}");
    expect(text).toContain("aws ec2 delete-volume --region us-east-1 --volume-id vol-1");
    const snapshot = whatStaysOnAws("aws", { region: "us-east-1", dataVolume: { keep: false } }, "vol-1");
    expect(snapshot).toContain("last snapshot");
    expect(snapshot).not.toContain("delete-volume");
    expect(whatStaysOnAws("aws", {}, undefined)).toBe("stack aws is torn down.");
  });
});
