import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "../../../config/schema.ts";
import { LEAST } from "../../support/aws.ts";

describe("the configuration of a host on AWS", () => {
  const refusal = (raw: Record<string, unknown>): string => {
    try {
      parseConfig(raw, "aws");
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error(`accepted: ${JSON.stringify(raw)}`);
  };

  it("needs a region and who may log in, and has a default for the rest", () => {
    expect(parseConfig({ host: LEAST }, "aws").host).toEqual({
      ...LEAST,
      instanceTypes: ["g6.xlarge"],
      spot: false,
      access: "ssh",
      key: "~/.ssh/id_ed25519",
      user: "ubuntu",
      ami: "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id",
      rootSize: 100,
      dataVolume: { size: 100, keep: true },
      stopAfterIdle: 60,
      tags: {},
      unavailable: [],
    });
    expect(refusal({ host: { kind: "aws" } })).toContain("gpubox:host.region: ");
    expect(refusal({ host: { kind: "aws", region: "us-east-1" } })).toContain(
      "gpubox:host.sshCidr: must be your address",
    );
  });

  it("takes the stack file that comes with gpubox", () => {
    const text = readFileSync(new URL("../../../Pulumi.aws.yaml", import.meta.url), "utf8");
    const keys = Object.entries(parse(text).config).map(([key, value]) => [
      key.replace(/^gpubox:/, ""),
      value,
    ]);
    expect(parseConfig(Object.fromEntries(keys), "aws").host).toMatchObject({ kind: "aws", sshCidr: "mine" });
  });

  it.each<[string, object, string, string]>([
    ["everybody at SSH", { sshCidr: "0.0.0.0/0" }, "sshCidr", "the whole internet"],
    ["half the internet", { sshCidr: "0.0.0.0/1" }, "sshCidr", "more than 256"],
    ["more than a /24", { sshCidr: "203.0.112.0/23" }, "sshCidr", "more than 256"],
    ["an address without its prefix", { sshCidr: "203.0.113.7" }, "sshCidr", "/32"],
    ["no address", { sshCidr: "me" }, "sshCidr", '"mine"'],
    ["a prefix beyond 32", { sshCidr: "203.0.113.7/33" }, "sshCidr", "/32"],
    ["bits beyond the prefix", { sshCidr: "203.0.113.7/24" }, "sshCidr", '"203.0.113.0/24"'],
    ["a network where nothing is open", { access: "session-manager" }, "sshCidr", "nothing is open here"],
    ["another way in", { access: "telnet" }, "access", "session-manager"],
    ["no region", { region: "virginia" }, "region", "us-east-1"],
    ["no type", { instanceTypes: [] }, "instanceTypes", "must name a type"],
    ["a type twice", { instanceTypes: ["g6.xlarge", "g6.xlarge"] }, "instanceTypes", "twice"],
    ["what is no type", { instanceTypes: ["big"] }, "instanceTypes[0]", "g6.xlarge"],
    ["a key of another folder", { key: "id_ed25519" }, "key", "absolute"],
    ["a key that ssh would expand", { key: "~/$HOME" }, "key", "must not contain"],
    ["what is no user", { user: "Ada Lovelace" }, "user", "name of a user"],
    ["what is no image", { ami: "ubuntu" }, "ami", "ami-"],
    ["what is no subnet", { subnet: "default" }, "subnet", "subnet-"],
    ["a system disk that nothing fits on", { rootSize: 8 }, "rootSize", "must be from 20 to"],
    [
      "a volume that is made and adopted",
      { dataVolume: { id: "vol-01234567", size: 10 } },
      "dataVolume",
      "either `id`",
    ],
    [
      "an adopted volume that goes",
      { dataVolume: { id: "vol-01234567", keep: false } },
      "dataVolume",
      "either `id`",
    ],
    ["what is no volume", { dataVolume: { id: "data" } }, "dataVolume.id", "vol-"],
    ["a stop in the middle of things", { stopAfterIdle: 1 }, "stopAfterIdle", "must be from 5 to"],
    ["no hours", { maxUptimeHours: 0 }, "maxUptimeHours", "must be from 1 to"],
    ["a tag of gpubox's own", { tags: { "gpubox.stack": "x" } }, "tags.gpubox.stack", "set by gpubox"],
    ["what is no placement", { unavailable: ["g6.xlarge"] }, "unavailable[0]", "us-east-1a"],
    ["a key that does not exist", { subnets: [] }, "subnets", "no such key"],
  ])("refuses %s", (_name, change, key, part) => {
    const message = refusal({ host: { ...LEAST, ...change } });
    expect(message).toContain(`gpubox:host.${key}: `);
    expect(message).toContain(part);
  });

  it.each(["~", "~/", "/", "/home", "/home/ubuntu", "/root"])("refuses to mount a disk over %s", (root) => {
    expect(refusal({ host: LEAST, root })).toContain("gpubox:root: must be a folder of its own");
    // All of a machine is no root anywhere.
    if (root !== "/") expect(() => parseConfig({ root }, "dev")).not.toThrow();
  });

  it("takes a folder of S3 as data on an AWS host only, and as it is", () => {
    const url = "s3://pets/v1/";
    const data = (entry: object) => ({ host: LEAST, data: [entry] });
    expect(parseConfig(data({ url }), "aws").data[0]).toMatchObject({ url: [url], folder: "v1" });
    expect(refusal({ data: [{ url }] })).toContain(
      "gpubox:data[0].url: cannot be an s3 url on this kind of host",
    );
    for (const beside of [
      { sha256: "a".repeat(64) },
      { size: 1 },
      { files: 1 },
      { name: "pets.zip" },
      { keepArchive: true },
      { purge: true },
    ]) {
      expect(refusal(data({ url, ...beside }))).toContain("takes only `folder` beside an s3 url");
    }
    expect(refusal(data({ url: [url, "https://example.org/pets.zip"] }))).toContain("takes only");
  });

  it.each(["203.0.113.0/24", "203.0.113.7/32", "10.1.2.128/25", "mine"])("takes %s", (sshCidr) => {
    expect(() => parseConfig({ host: { ...LEAST, sshCidr } }, "aws")).not.toThrow();
  });
});
