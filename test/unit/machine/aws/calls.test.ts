/** The list of what gpubox calls of AWS's, against the code that calls it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "../../../../cli/context.ts";
import {
  compareCalls,
  GROUPS,
  OCCASIONAL,
  policyFor,
  type StackNeeds,
  UNNEEDED,
  UNSEEN,
} from "../../../../machine/aws/calls.ts";
import { awsHost, hostArgs } from "../../../support/aws.ts";
import { record } from "../../../support/recorder.ts";

const least: StackNeeds = {
  stack: "gpubox/aws",
  region: "eu-west-1",
  access: "ssh",
  spot: false,
  s3: false,
  leavesSnapshot: false,
  ami: "/aws/service/deeplearning/ami",
};
const all = GROUPS.flatMap(({ actions }) => actions);
const sids = (change: Partial<StackNeeds> = {}) =>
  policyFor({ ...least, ...change }).Statement.map(({ Sid }) => Sid);
const statement = (sid: string, needs?: StackNeeds) =>
  policyFor(needs).Statement.find(({ Sid }) => Sid === sid);
/** With a role, and a session. */
const session: StackNeeds = { ...least, access: "session-manager" };

/** Services as policies name them, by the SDK's clients. */
const SERVICES: Record<string, string> = { "service-quotas": "servicequotas" };

/** Calls of the SDK in the program, the commands, and the provider that stands in for the official one. */
function callsInCode(): string[] {
  const files = ["cli", "components", "machine", "test/aws/plugin"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => readFileSync(join(ROOT, folder, name), "utf8")),
  );
  return files.flatMap((text) =>
    [...text.matchAll(/import \{([^}]*)\} from "@aws-sdk\/client-([a-z0-9-]+)"/g)].flatMap(
      ([, names = "", client = ""]) =>
        [...names.matchAll(/\b(\w+)Command\b/g)].map(
          ([, action]) => `${SERVICES[client] ?? client}:${action}`,
        ),
    ),
  );
}

/** The stand-in can change them, and the program never does. */
const NEVER_CHANGED = ["iam:UpdateAssumeRolePolicy", "iam:UpdateRoleDescription"];

describe("the list of actions", () => {
  it("has all that the code calls, and nothing that nobody does", () => {
    const calls = callsInCode().filter((call) => !NEVER_CHANGED.includes(call));
    expect(calls.length).toBeGreaterThan(50);
    expect(compareCalls(calls).notPermitted).toEqual([]);
    expect(all.filter((action) => !calls.includes(action) && !(action in UNSEEN))).toEqual([]);
  });

  it("is compared with what was called, for one stack or for all", () => {
    const some = all.filter((each) => each !== "ec2:RunInstances");
    const calls = [...some, "ec2:CreateVpc", ...Object.keys(UNNEEDED)];
    expect(compareCalls(calls)).toEqual({
      notPermitted: ["ec2:CreateVpc"],
      neverCalled: ["ec2:RunInstances"],
    });
    expect(compareCalls(["iam:CreateRole", "ec2:CancelSpotInstanceRequests"], least).notPermitted).toEqual([
      "ec2:CancelSpotInstanceRequests",
      "iam:CreateRole",
    ]);
    const { neverCalled } = compareCalls([], least);
    expect(neverCalled).toContain("ec2:RunInstances");
    expect(neverCalled).not.toContain("iam:CreateRole");
    for (const excused of ["iam:PassRole", "ec2:ModifyVolume"])
      expect(compareCalls([]).neverCalled).not.toContain(excused);
  });

  it("says why what cannot be seen is in it, and what is called is not", () => {
    const excused = Object.keys({ ...UNSEEN, ...OCCASIONAL });
    expect(excused.filter((action) => !all.includes(action))).toEqual([]);
    expect(Object.keys(UNNEEDED).filter((action) => all.includes(action))).toEqual([]);
  });

  it("names each action once, but sessions, which are on two things", () => {
    expect(all.filter((each, at) => all.indexOf(each) !== at)).toEqual(["ssm:StartSession"]);
    for (const action of all) expect(action).toMatch(/^[a-z0-9]+:[A-Z][A-Za-z]+$/);
  });

  it("is on the page", () => {
    const page = readFileSync(join(ROOT, "docs/aws.md"), "utf8");
    const rows = GROUPS.map(({ sid, purpose, when }) => `| \`${sid}\` | ${purpose} | ${when} |`);
    expect(page).toContain(`| statement | for | where |\n|---|---|---|\n${rows.join("\n")}\n\n`);
  });
});

describe("the policy", () => {
  it("has everything where no stack is named, and still fits a managed policy", () => {
    const { Statement } = policyFor();
    expect(Statement.map(({ Sid }) => Sid)).toEqual(GROUPS.map(({ sid }) => sid));
    // AWS does not count white space; a policy may be changed, so some room is left.
    expect(JSON.stringify(policyFor()).length).toBeLessThan(6144 - 1000);
    for (const { Sid } of Statement) expect(Sid).toMatch(/^[A-Za-z0-9]+$/);
  });

  it("has no more than the stack takes", () => {
    const machine = ["LookUp", "LookUpQuota", "LookUpPrices", "LookUpImage", "Machine"];
    expect(sids()).toEqual(machine);
    expect(sids({ ami: "ami-0123456789abcdef0" })).toEqual(machine.filter((sid) => sid !== "LookUpImage"));
    const role = ["Role", "RoleForMachine", "RoleInPlace"];
    expect(sids({ s3: true })).toEqual([...machine, ...role]);
    const sessions = ["SessionRole", "Session", "SessionDocument", "OwnSessions"];
    expect(sids({ access: "session-manager" })).toEqual([...machine, ...role, ...sessions]);
    expect(sids({ spot: true })).toEqual([...machine, "Spot", "SpotRole"]);
    expect(sids({ leavesSnapshot: true })).toEqual([...machine, "LastSnapshot"]);
  });

  it("lets change only what is in the stack's region", () => {
    const Condition = { StringEquals: { "aws:RequestedRegion": "eu-west-1" } };
    for (const sid of ["Machine", "RoleInPlace"])
      expect(statement(sid, session)).toMatchObject({ Condition });
    expect(statement("Machine")).not.toHaveProperty("Condition");
    expect(statement("LookUpImage", least)?.Resource).toEqual([
      "arn:aws:ssm:eu-west-1:*:parameter/aws/service/deeplearning/ami",
    ]);
    expect(statement("LookUpImage")?.Resource).toEqual(["arn:aws:ssm:*:*:parameter/aws/service/*"]);
  });

  it("is, of roles, about those of machines alone, for EC2 alone, with one policy of AWS's", () => {
    const role = "arn:aws:iam::*:role/aws-machine-*";
    expect(statement("Role", session)?.Resource).toEqual([
      role,
      "arn:aws:iam::*:instance-profile/aws-machine-*",
    ]);
    expect(statement("RoleForMachine", session)).toEqual({
      Sid: "RoleForMachine",
      Effect: "Allow",
      Action: ["iam:PassRole"],
      Resource: [role],
      Condition: { StringEquals: { "iam:PassedToService": "ec2.amazonaws.com" } },
    });
    expect(statement("SessionRole", session)).toMatchObject({
      Resource: [role],
      Condition: {
        ArnEquals: { "iam:PolicyARN": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore" },
      },
    });
    for (const { Action, Resource } of policyFor().Statement)
      if (Action.some((each) => each.startsWith("iam:"))) expect(Resource).not.toContain("*");
  });

  it("has for roles the names that a stack gives them", async () => {
    const host = hostArgs({ access: "session-manager", sshCidr: undefined });
    const { resources } = await record(() => awsHost({ host }));
    const named = resources.filter(({ type }) => /^aws:iam\/(role:Role|instanceProfile:)/.test(type));
    expect(named.map(({ name }) => name)).toHaveLength(2);
    for (const { name, inputs } of named) {
      expect(inputs, "a name of its own").not.toHaveProperty("name");
      expect(name).toMatch(/^aws-machine-/);
    }
  });

  it("lets into the stack's own machine alone", () => {
    expect(statement("Session", session)).toMatchObject({
      Resource: ["arn:aws:ec2:eu-west-1:*:instance/*"],
      Condition: { StringLike: { "ssm:resourceTag/gpubox.stack": "gpubox/aws" } },
    });
  });

  it.each([
    ["cn-north-1", "arn:aws-cn:"],
    ["us-gov-west-1", "arn:aws-us-gov:"],
  ])("is written for the partition of %s", (region, arn) => {
    for (const resource of policyFor({ ...session, region, spot: true }).Statement.flatMap(
      ({ Resource }) => Resource,
    ))
      if (resource !== "*") expect(resource).toContain(arn);
  });
});
