import { describe, expect, it } from "vitest";
import { emptyVolume, failedLaunch, withoutKeeping } from "../../../cli/capacity.ts";
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
