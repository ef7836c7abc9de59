import { describe, expect, it } from "vitest";
import {
  emptyVolume,
  failedLaunch,
  isWithoutMachine,
  refusalText,
  without,
  withoutKeeping,
} from "../../../../../cli/hosts/aws/capacity.ts";
import type { State, StateResource } from "../../../../../cli/pulumi/checkpoint.ts";

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
  const launch = { instanceType: "g6.xlarge", zone: "us-east-1a", spot: false };

  it.each([
    "InsufficientInstanceCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientVolumeCapacity",
    "UnfulfillableCapacity",
    "SpotMaxPriceTooLow",
    "Unsupported",
    "MaxSpotInstanceCountExceeded",
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
  ])("with %s is known", (code) => {
    expect(failedLaunch(events(answer(code)))).toEqual({ ...launch, code });
  });

  it.each([
    "InsufficientHostCapacity",
    "UnauthorizedOperation",
    "UnsupportedOperation",
    "Unsupported.Region",
    "InvalidParameterValue",
  ])("with %s is not", (code) => {
    expect(failedLaunch(events(answer(code)))).toBeUndefined();
  });

  it("is told from what else failed", () => {
    expect(failedLaunch(events(answer("InsufficientInstanceCapacity"), "urn:other"))).toBeUndefined();
    expect(failedLaunch("")).toBeUndefined();
    expect(failedLaunch(events(answer("InsufficientInstanceCapacity"), URN, {}))).toBeUndefined();
  });

  it("is known to have been one for spot capacity", () => {
    const inputs = {
      instanceType: "g6.xlarge",
      availabilityZone: "us-east-1a",
      instanceMarketOptions: { marketType: "spot" },
    };
    expect(failedLaunch(events(answer("Unsupported"), URN, inputs))).toMatchObject({ spot: true });
  });

  it("is found where the one that it was to replace was deleted first, and not in that deletion's failure", () => {
    const deletion = { op: "delete-replaced", urn: URN, type: "aws:ec2/instance:Instance", new: null };
    const deleted = JSON.stringify({ resourcePreEvent: { metadata: deletion } });
    const code = "InsufficientInstanceCapacity";
    expect(failedLaunch(`${deleted}\n${events(answer(code))}`)).toEqual({ ...launch, code });
    const error = JSON.stringify({ diagnosticEvent: { urn: URN, message: answer("Unsupported") } });
    expect(failedLaunch(`${deleted}\n${error}`)).toBeUndefined();
  });

  const host = { region: "us-east-1", instanceTypes: ["g6.xlarge", "g5.xlarge"], unavailable: ["x.y/z"] };

  it("for want of capacity is tried elsewhere", () => {
    const failed = { ...launch, code: "InsufficientInstanceCapacity" };
    expect(without(host, failed)).toEqual({ ...host, unavailable: ["x.y/z", "g6.xlarge/us-east-1a"] });
    expect(without({}, failed)).toEqual({ unavailable: ["g6.xlarge/us-east-1a"] });
    expect(refusalText(failed, "us-east-1")).toBe(
      "no capacity for g6.xlarge/us-east-1a (InsufficientInstanceCapacity)",
    );
  });

  it("for a full subnet is tried in other zones, with every type", () => {
    const failed = { ...launch, code: "InsufficientFreeAddressesInSubnet" };
    const unavailable = ["x.y/z", "g6.xlarge/us-east-1a", "g5.xlarge/us-east-1a"];
    expect(without(host, failed)).toEqual({ ...host, unavailable });
    expect(without({}, failed)).toEqual({ unavailable: ["g6.xlarge/us-east-1a"] });
    expect(refusalText(failed, "us-east-1")).toMatch(
      /^the subnet in us-east-1a has no free address: .*gpubox:host\.subnet \(Insuff/,
    );
  });

  it("for the account's limit is tried in no other zone, only with another type", () => {
    for (const code of ["VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "InstanceLimitExceeded"]) {
      const failed = { ...launch, code };
      expect(without(host, failed)).toEqual({ ...host, instanceTypes: ["g5.xlarge"] });
      expect(without({ ...host, instanceTypes: ["g6.xlarge"] }, failed)).toBeUndefined();
      expect(without({}, failed)).toBeUndefined();
    }
  });

  it("for the account's limit names the quota of the type and its market, and where to raise it", () => {
    const of = (spot: boolean, code: string) => refusalText({ ...launch, spot, code }, "eu-west-1");
    expect(of(true, "MaxSpotInstanceCountExceeded")).toMatch(
      /limit for g6\.xlarge on spot in eu-west-1 is reached \(quota L-3819A6DF, "All G and VT Spot.*ask for more under Service Quotas > .*https:\/\/eu-west-1\.console.*L-3819A6DF \(MaxSpot/,
    );
    expect(of(false, "VcpuLimitExceeded")).toContain('(quota L-DB2E81BA, "Running On-Demand G and VT');
    const unknown = { ...launch, instanceType: "mac2.metal", code: "VcpuLimitExceeded" };
    expect(refusalText(unknown, "eu-west-1")).toMatch(
      /mac2\.metal in eu-west-1 is reached: .*Service Quotas/,
    );
  });

  it("for its price says how to end the request that AWS may have kept", () => {
    const failed = { ...launch, spot: true, code: "SpotMaxPriceTooLow" };
    expect(refusalText(failed, "eu-west-1")).toContain("describe-spot-instance-requests --region eu-west-1");
    expect(without({}, failed)).toEqual({ unavailable: ["g6.xlarge/us-east-1a"] });
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

  it("is none that may be the successor of another, which has the same URN", () => {
    const old = { ...volume, id: "vol-0", created: "2025-01-01T00:00:00Z", delete: true };
    expect(emptyVolume(state(old, volume), since)).toBeUndefined();
    expect(emptyVolume(state(volume, old), since)).toBeUndefined();
  });

  it("is none where an instance that was there has made way for another", () => {
    const gone = { ...of("aws:ec2/instance:Instance"), pendingReplacement: true };
    expect(emptyVolume(state(volume, gone), since)).toBeUndefined();
    expect(isWithoutMachine(state(volume, gone))).toBe(true);
    expect(isWithoutMachine(state(volume, gone, of("aws:ec2/instance:Instance")))).toBe(false);
    expect(isWithoutMachine(state(volume))).toBe(false);
  });

  it("goes without a trace, and nothing else changes", () => {
    const other = { ...volume, urn: "urn:other", dependencies: [volume.urn] };
    const snapshot = { ...of("command:local:Command"), dependencies: [volume.urn] };
    expect(withoutKeeping(state(other, volume, snapshot), volume).deployment.resources).toEqual([
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
