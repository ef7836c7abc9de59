/** The commands before a stack on AWS comes up, with a server on this machine in AWS's place. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { refuseSecondVolume } from "../../../../../cli/hosts/aws/volume.ts";
import type { State, StateResource } from "../../../../../cli/pulumi/checkpoint.ts";
import type { Session } from "../../../../../cli/pulumi/session.ts";
import { secondVolumeProblem } from "../../../../../machine/aws/volumes.ts";
import { answerAws } from "../../../../support/aws-server.ts";

const stateOf = (...resources: StateResource[]): State => ({ version: 3, deployment: { resources } });
const OWN = {
  urn: "urn::volume",
  type: "aws:ebs/volume:Volume",
  id: "vol-1",
  outputs: { arn: "arn:aws:ec2:us-east-1:123456789012:volume/vol-1" },
};

describe("the volumes that carry a stack's tag", () => {
  let root: string;
  let asked: URLSearchParams[];
  let attachment: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "gpubox-volume-"));
    asked = [];
    attachment = "";
  });
  afterEach(() => rmSync(root, { recursive: true }));
  answerAws(async (request, response) => {
    asked.push(new URLSearchParams(await text(request)));
    response
      .setHeader("content-type", "text/xml")
      .end(
        `<DescribeVolumesResponse><volumeSet><item><volumeId>vol-8</volumeId><size>50</size><availabilityZone>us-east-1b</availabilityZone><attachmentSet>${attachment}</attachmentSet></item></volumeSet></DescribeVolumesResponse>`,
      );
  });

  async function refusal(state: State, dataVolume = "{size: 10}"): Promise<string | undefined> {
    const host = `{kind: aws, region: us-east-1, sshCidr: mine, dataVolume: ${dataVolume}}`;
    writeFileSync(join(root, "Pulumi.aws.yaml"), `config:\n  gpubox:host: ${host}\n`);
    const session = { context: { root }, stack: "aws", stackId: "gpubox/aws" } as unknown as Session;
    return await refuseSecondVolume(session, state).then(
      () => undefined,
      (error: Error) => error.message,
    );
  }

  const owner = { stack: "gpubox/aws", region: "us-east-1", known: {} };
  const found = { id: "vol-8", zone: "us-east-1b", size: 50 };

  it("keep a new stack from one of its own, in the words of the library", async () => {
    expect(await refusal(stateOf())).toBe(secondVolumeProblem(owner, [{ ...found, usedBy: [] }]));
    const filters = Object.fromEntries(asked[0] ?? []);
    expect(filters).toMatchObject({ "Filter.1.Name": "tag:gpubox.stack", "Filter.1.Value.1": "gpubox/aws" });
  });

  it("are told apart by the machine that has them", async () => {
    attachment = "<item><instanceId>i-9</instanceId></item>";
    expect(await refusal(stateOf())).toBe(secondVolumeProblem(owner, [{ ...found, usedBy: ["i-9"] }]));
  });

  it("are not asked for where the stack has one, or is told which", async () => {
    expect(await refusal(stateOf(OWN))).toBeUndefined();
    expect(await refusal(stateOf(), "{id: vol-0123456789abcdef0}")).toBeUndefined();
    expect(asked).toEqual([]);
  });
});
