import { describe, expect, it } from "vitest";
import { withoutPending, withoutRequest } from "../../../../../cli/hosts/aws/instance.ts";
import { dataVolumeOf, staysText } from "../../../../../cli/hosts/aws/volume.ts";
import type { State, StateResource } from "../../../../../cli/pulumi/checkpoint.ts";

describe("after destroy", () => {
  it("the person is told what stays, how to use it again and how to be rid of it", () => {
    const text = staysText("aws", "us-east-1", { volume: "vol-1" });
    expect(text).toContain("dataVolume: {id: vol-1}");
    expect(text).toContain("aws ec2 delete-volume --region us-east-1 --volume-id vol-1");
    const snapshot = staysText("aws", "us-east-1", { snapshots: ["snap-1"] });
    expect(snapshot).toContain("snap-1, the last snapshot");
    expect(snapshot).toContain("create-volume --region us-east-1");
    expect(snapshot).not.toContain("delete-volume");
    expect(staysText("aws", "us-east-1", {})).toBe("stack aws is torn down.");
  });
});

const aws = (type: string, more: object) => ({ urn: `urn::${type}::x`, type, ...more });
const stateOf = (...resources: StateResource[]): State => ({ version: 3, deployment: { resources } });

describe("the data volume of a stack", () => {
  const volume = aws("aws:ebs/volume:Volume", { id: "vol-1", retainOnDelete: true });
  const removal = (inputs: Record<string, unknown>) => ({
    urn: "urn::command:local:Command::aws-machine-data-removal",
    type: "command:local:Command",
    inputs,
  });

  it("goes or stays as the state has it, whatever the file says by now", () => {
    expect(dataVolumeOf(stateOf(volume, removal({ delete: "node x" })))).toEqual({ id: "vol-1", goes: true });
    expect(dataVolumeOf(stateOf(volume, removal({})))).toEqual({ id: "vol-1", goes: false });
    expect(dataVolumeOf(stateOf(volume))).toEqual({ id: "vol-1", goes: false });
    // Of a version that had the provider remove it.
    expect(dataVolumeOf(stateOf({ ...volume, retainOnDelete: false }))).toEqual({ id: "vol-1", goes: true });
  });

  it("may be one that it has adopted", () => {
    const type = "aws:ec2/volumeAttachment:VolumeAttachment";
    const attachment = aws(type, { inputs: { volumeId: "vol-2" } });
    expect(dataVolumeOf(stateOf(attachment))).toEqual({ id: "vol-2", goes: false });
    expect(dataVolumeOf(stateOf())).toBeUndefined();
  });
});

describe("the state of an instance that is gone", () => {
  it("names no request, which AWS may have forgotten and the provider would fail to cancel", () => {
    const instance = (instanceLifecycle: string) => ({
      urn: "urn",
      type: "aws:ec2/instance:Instance",
      id: "i-1",
      outputs: { ami: "ami-1", instanceLifecycle, spotInstanceRequestId: "sir-1" },
    });
    const of = (lifecycle: string) =>
      withoutRequest({ version: 3, deployment: { resources: [instance(lifecycle)] } }).deployment.resources;
    expect(of("spot")?.[0]?.outputs).toEqual({
      ami: "ami-1",
      instanceLifecycle: "",
      spotInstanceRequestId: "",
    });
    expect(of("")).toEqual([instance("")]);
  });
});

it("takes an instance that was half made out of the state, once it was looked for, and nothing else", () => {
  const pending = (type: string, of: string) => ({ type, resource: aws(of, {}) });
  const instance = "aws:ec2/instance:Instance";
  const others = [pending("creating", "aws:ec2/eip:Eip"), pending("updating", instance)];
  const state = {
    version: 3,
    deployment: { pending_operations: [...others, pending("creating", instance)] },
  };
  expect(withoutPending(state).deployment.pending_operations).toEqual(others);
  expect(withoutPending(stateOf())).toEqual(stateOf());
});
