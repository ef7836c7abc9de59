/** The policies: silent about what gpubox makes, each loud about what would weaken it; and run the way the engine runs them. */
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import analyzerServices from "@pulumi/pulumi/proto/analyzer_grpc_pb.js";
import type * as analyzerPb from "@pulumi/pulumi/proto/analyzer_pb.d.ts";
import analyzerMessages from "@pulumi/pulumi/proto/analyzer_pb.js";
import languageServices from "@pulumi/pulumi/proto/language_grpc_pb.js";
import type * as languagePb from "@pulumi/pulumi/proto/language_pb.d.ts";
import languageMessages from "@pulumi/pulumi/proto/language_pb.js";
import emptyMessages from "google-protobuf/google/protobuf/empty_pb.js";
import { describe, expect, it, onTestFinished } from "vitest";
import { RULES } from "../../policy/rules.ts";
import { call, startPlugin, struct } from "../support/offline-plugin.ts";
import { recordStack } from "../support/stack.ts";

const INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule";
const INSTANCE = "aws:ec2/instance:Instance";
const ssh = { cidrIpv4: "203.0.113.7/32", ipProtocol: "tcp", fromPort: 22, toPort: 22 };
const instance = {
  rootBlockDevice: { encrypted: true },
  metadataOptions: { httpTokens: "required", httpPutResponseHopLimit: 1 },
};

const violations = (type: string, props: Record<string, unknown>): string[] =>
  RULES.flatMap(({ name, rule }) => rule({ type, props }).map((text) => `${name}: ${text}`));

describe("the policies", () => {
  it.each(["local", "ssh", "aws"])("have nothing against a stack on host %s", async (kind) => {
    const { resources } = await recordStack({}, undefined, kind);
    expect(resources.flatMap(({ type, inputs }) => violations(type, inputs))).toEqual([]);
  });

  it("have nothing against what their own counter-examples are made from", () => {
    expect(violations(INGRESS, ssh)).toEqual([]);
    expect(violations(INSTANCE, instance)).toEqual([]);
  });

  it.each<[string, string, Record<string, unknown>]>([
    ["no-open-ingress", INGRESS, { ...ssh, cidrIpv4: "0.0.0.0/0" }],
    ["no-open-ingress", INGRESS, { ...ssh, cidrIpv4: "203.0.0.0/16" }],
    ["no-open-ingress", INGRESS, { ...ssh, cidrIpv4: undefined, cidrIpv6: "::/0" }],
    [
      "no-open-ingress",
      "aws:ec2/securityGroup:SecurityGroup",
      { ingress: [{ ...ssh, cidrBlocks: ["0.0.0.0/0"] }] },
    ],
    [
      "no-open-ingress",
      "aws:ec2/securityGroupRule:SecurityGroupRule",
      { ...ssh, type: "ingress", cidrBlocks: ["0.0.0.0/0"] },
    ],
    ["no-public-jupyter", INGRESS, { ...ssh, fromPort: 8888, toPort: 8888 }],
    ["no-public-jupyter", INGRESS, { ...ssh, fromPort: 22, toPort: 8888 }],
    ["no-public-jupyter", INGRESS, { ...ssh, ipProtocol: "-1" }],
    ["no-public-jupyter", "docker:index/container:Container", { ports: [{ external: 8888, ip: "0.0.0.0" }] }],
    ["no-public-jupyter", "docker:index/container:Container", { ports: [{ external: 8888 }] }],
    ["encrypted-volumes", "aws:ebs/volume:Volume", { size: 100 }],
    ["encrypted-volumes", INSTANCE, { ...instance, rootBlockDevice: { encrypted: false } }],
    ["encrypted-volumes", INSTANCE, { ...instance, ebsBlockDevices: [{ deviceName: "/dev/sdf" }] }],
    ["metadata-tokens", INSTANCE, { ...instance, metadataOptions: undefined }],
    [
      "metadata-tokens",
      INSTANCE,
      { ...instance, metadataOptions: { httpTokens: "optional", httpPutResponseHopLimit: 1 } },
    ],
    [
      "metadata-tokens",
      INSTANCE,
      { ...instance, metadataOptions: { httpTokens: "required", httpPutResponseHopLimit: 2 } },
    ],
  ])("%s objects to %s %o", (name, type, props) => {
    expect(violations(type, props).join("\n")).toContain(`${name}: `);
  });
});

describe("the policy pack", () => {
  it("is run by the engine's language plugin, and reports violations by name", async () => {
    const plugin = await startPlugin("language-nodejs");
    const language = new languageServices.LanguageRuntimeClient(
      plugin.address,
      grpc.credentials.createInsecure(),
    );
    const directory = fileURLToPath(new URL("../../policy", import.meta.url));
    const request = new languageMessages.RunPluginRequest()
      .setKind("analyzer")
      .setPwd(directory)
      .setProgram(directory)
      .setArgsList(["127.0.0.1:1"])
      .setInfo(new languageMessages.ProgramInfo().setRootDirectory(directory).setProgramDirectory(directory));
    const stream = language.runPlugin(request);
    onTestFinished(async () => {
      stream.on("error", () => {}).cancel();
      language.close();
      await plugin.stop();
    });
    const port = await new Promise<string>((resolve, reject) => {
      let said = "";
      stream.on("error", reject).on("data", (response: languagePb.RunPluginResponse) => {
        said += Buffer.from(response.getStdout_asU8()).toString();
        if (said.includes("\n")) resolve(said.trim());
        if (response.getStderr_asU8().length > 0)
          reject(new Error(Buffer.from(response.getStderr_asU8()).toString()));
      });
    });
    const analyzer = new analyzerServices.AnalyzerClient(
      `127.0.0.1:${port}`,
      grpc.credentials.createInsecure(),
    );
    onTestFinished(() => analyzer.close());
    const info = await call<analyzerPb.AnalyzerInfo>(analyzer, "getAnalyzerInfo", new emptyMessages.Empty());
    expect(
      info
        .getPoliciesList()
        .map((policy) => policy.getName())
        .sort(),
    ).toEqual(RULES.map(({ name }) => name).sort());
    const analyze = async (size: Record<string, unknown>) => {
      const resource = new analyzerMessages.AnalyzeRequest()
        .setType("aws:ebs/volume:Volume")
        .setUrn("urn:pulumi:aws::gpubox::aws:ebs/volume:Volume::data")
        .setName("data")
        .setOptions(
          new analyzerMessages.AnalyzerResourceOptions().setCustomtimeouts(
            new analyzerMessages.AnalyzerResourceOptions.CustomTimeouts(),
          ),
        )
        .setProperties(struct(size));
      const answer = await call<analyzerPb.AnalyzeResponse>(analyzer, "analyze", resource);
      return answer.getDiagnosticsList().map((diagnostic) => diagnostic.getPolicyname());
    };
    expect(await analyze({ size: 100, encrypted: true })).toEqual([]);
    expect(await analyze({ size: 100, encrypted: false })).toEqual(["encrypted-volumes"]);
  }, 30_000);
});
