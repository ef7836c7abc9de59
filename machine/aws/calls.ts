/**
 * What AWS has to let whoever runs gpubox do: every action that it and its provider call, in one list, and the policy made from
 * it. What the machine itself may do is in permissions.ts. Pure.
 *
 * What the provider calls is in its source, hashicorp/terraform-provider-aws, `internal/service`.
 */

import type { Config } from "../../config/schema.ts";
import { UserError } from "../../errors.ts";
import { type Policy, partition, type Statement, s3Prefixes, sessionManagerPolicy } from "./permissions.ts";
import { STACK_TAG } from "./tags.ts";

/** What the permissions of a stack depend on. */
export interface StackNeeds {
  /** `<project>/<stack>`. */
  stack: string;
  region: string;
  access: "ssh" | "session-manager";
  spot: boolean;
  /** Whether data comes from S3. */
  s3: boolean;
  /** Whether the data volume goes with the stack, and leaves a snapshot. */
  leavesSnapshot: boolean;
  /** `ami-…`, or the name of the parameter with it. */
  ami: string;
}

/** Where an action is needed, in the words of the page. */
const WHEN = {
  always: () => true,
  "can be left out": () => true,
  "`ami` is a parameter, as by default": ({ ami }) => ami.startsWith("/"),
  "`dataVolume.keep: false`": ({ leavesSnapshot }) => leavesSnapshot,
  "`spot`": ({ spot }) => spot,
  "`access: session-manager`": ({ access }) => access === "session-manager",
  "`access: session-manager`, or data from S3": ({ access, s3 }) => s3 || access === "session-manager",
} as const satisfies Record<string, (needs: StackNeeds) => boolean>;

/** Actions that are permitted together: a statement of the policy. */
export interface Group {
  /** Id of the statement. */
  sid: string;
  /** What they are for. */
  purpose: string;
  when: keyof typeof WHEN;
  actions: string[];
  /** What they are permitted on; everything where left out. */
  on?: (scope: Scope) => string[];
  /** Under what conditions. */
  if?: (scope: Scope) => Statement["Condition"];
}

/** What a policy is for: a stack, or whichever there may be. */
interface Scope {
  /** `arn:aws`. */
  arn: string;
  /** Undefined for every region. */
  region: string | undefined;
  /** Undefined for every stack. */
  stack: string | undefined;
  ami: string | undefined;
}

const of = (service: string, ...names: string[]) => names.map((name) => `${service}:${name}`);

const inRegion: Group["if"] = ({ region }) =>
  region ? { StringEquals: { "aws:RequestedRegion": region } } : undefined;
/** The names that machine.ts gives, with what the provider adds. */
const roles = ({ arn }: Scope) => `${arn}:iam::*:role/aws-machine-*`;
const profiles = ({ arn }: Scope) => `${arn}:iam::*:instance-profile/aws-machine-*`;
const anyRegion = ({ region = "*" }: Scope) => region;

export const GROUPS: Group[] = [
  {
    sid: "LookUp",
    purpose: "who you are, what the region offers, and what there is of the stack",
    when: "always",
    actions: [
      "sts:GetCallerIdentity",
      ...of("ec2", "DescribeImages", "DescribeInstanceTypes", "DescribeInstanceTypeOfferings"),
      ...of("ec2", "DescribeVpcs", "DescribeVpcAttribute", "DescribeSubnets", "DescribeRouteTables"),
      ...of("ec2", "DescribeInstances", "DescribeInstanceAttribute", "DescribeInstanceCreditSpecifications"),
      ...of("ec2", "DescribeVolumes", "DescribeVolumesModifications", "DescribeKeyPairs", "DescribeTags"),
      ...of("ec2", "DescribeAddresses", "DescribeAddressesAttribute", "DescribeNetworkInterfaces"),
      ...of("ec2", "DescribeSecurityGroups", "DescribeSecurityGroupRules"),
    ],
  },
  {
    sid: "LookUpQuota",
    purpose: "whether the account may run the type; else that is not checked, and said",
    when: "can be left out",
    actions: of("servicequotas", "GetServiceQuota", "GetAWSDefaultServiceQuota"),
  },
  {
    sid: "LookUpPrices",
    purpose: "what AWS's price list asks; else the price is from gpubox's own table",
    when: "can be left out",
    actions: ["pricing:GetProducts"],
  },
  {
    sid: "LookUpImage",
    purpose: "the id of the newest image",
    when: "`ami` is a parameter, as by default",
    actions: ["ssm:GetParameter"],
    // AWS's own are of no account.
    on: (scope) => [`${scope.arn}:ssm:${anyRegion(scope)}:*:parameter${scope.ami ?? "/aws/service/*"}`],
  },
  {
    sid: "Machine",
    purpose: "the instance, its disks, key, firewall and address, and their tags",
    when: "always",
    actions: [
      ...of("ec2", "RunInstances", "StartInstances", "StopInstances", "TerminateInstances"),
      ...of("ec2", "ModifyInstanceAttribute", "ModifyInstanceMetadataOptions"),
      ...of("ec2", "ModifyNetworkInterfaceAttribute", "CreateTags", "DeleteTags"),
      ...of("ec2", "CreateVolume", "ModifyVolume", "AttachVolume", "DetachVolume", "DeleteVolume"),
      ...of("ec2", "ImportKeyPair", "DeleteKeyPair", "CreateSecurityGroup", "DeleteSecurityGroup"),
      ...of("ec2", "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"),
      ...of("ec2", "AuthorizeSecurityGroupEgress", "RevokeSecurityGroupEgress", "ModifySecurityGroupRules"),
      ...of("ec2", "AllocateAddress", "AssociateAddress", "DisassociateAddress", "ReleaseAddress"),
    ],
    if: inRegion,
  },
  {
    sid: "LastSnapshot",
    purpose: "the snapshot that the data volume leaves, in the place of one of an interrupted attempt",
    when: "`dataVolume.keep: false`",
    actions: of("ec2", "CreateSnapshot", "DescribeSnapshots", "DeleteSnapshot"),
    if: inRegion,
  },
  {
    sid: "Spot",
    purpose: "the request that a spot instance comes from",
    when: "`spot`",
    actions: of("ec2", "DescribeSpotInstanceRequests", "CancelSpotInstanceRequests"),
    if: inRegion,
  },
  {
    sid: "SpotRole",
    purpose: "EC2's own role for spot, in an account that never had a spot instance",
    when: "`spot`",
    actions: ["iam:CreateServiceLinkedRole"],
    on: ({ arn }) => [`${arn}:iam::*:role/aws-service-role/spot.amazonaws.com/*`],
    if: () => ({ StringEquals: { "iam:AWSServiceName": "spot.amazonaws.com" } }),
  },
  {
    sid: "Role",
    purpose: "the machine's role",
    when: "`access: session-manager`, or data from S3",
    actions: [
      ...of("iam", "CreateRole", "GetRole", "DeleteRole", "TagRole", "UntagRole"),
      ...of("iam", "PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy", "ListRolePolicies"),
      ...of("iam", "ListAttachedRolePolicies", "ListInstanceProfilesForRole"),
      ...of("iam", "CreateInstanceProfile", "GetInstanceProfile", "DeleteInstanceProfile"),
      ...of("iam", "TagInstanceProfile", "UntagInstanceProfile"),
      ...of("iam", "AddRoleToInstanceProfile", "RemoveRoleFromInstanceProfile"),
    ],
    on: (scope) => [roles(scope), profiles(scope)],
  },
  {
    sid: "RoleForMachine",
    purpose: "giving it to a machine, and to nothing else",
    when: "`access: session-manager`, or data from S3",
    actions: ["iam:PassRole"],
    on: (scope) => [roles(scope)],
    if: () => ({ StringEquals: { "iam:PassedToService": "ec2.amazonaws.com" } }),
  },
  {
    sid: "RoleInPlace",
    purpose: "giving it to a machine that is there, or taking it away",
    when: "`access: session-manager`, or data from S3",
    actions: [
      ...of("ec2", "AssociateIamInstanceProfile", "DisassociateIamInstanceProfile"),
      ...of("ec2", "ReplaceIamInstanceProfileAssociation", "DescribeIamInstanceProfileAssociations"),
    ],
    if: inRegion,
  },
  {
    sid: "SessionRole",
    purpose: "AWS's own policy for a machine that Session Manager reaches",
    when: "`access: session-manager`",
    actions: of("iam", "AttachRolePolicy", "DetachRolePolicy"),
    on: (scope) => [roles(scope)],
    if: ({ region }) => ({ ArnEquals: { "iam:PolicyARN": sessionManagerPolicy(region ?? "") } }),
  },
  {
    sid: "Session",
    purpose: "a session with the machine",
    when: "`access: session-manager`",
    actions: ["ssm:StartSession"],
    on: (scope) => [`${scope.arn}:ec2:${anyRegion(scope)}:*:instance/*`],
    if: ({ stack = "*" }) => ({ StringLike: { [`ssm:resourceTag/${STACK_TAG}`]: stack } }),
  },
  {
    sid: "SessionDocument",
    purpose: "that it carries SSH",
    when: "`access: session-manager`",
    actions: ["ssm:StartSession"],
    on: (scope) => [`${scope.arn}:ssm:${anyRegion(scope)}:*:document/AWS-StartSSHSession`],
  },
  {
    sid: "OwnSessions",
    purpose: "what the AWS command line does with a session that you began",
    when: "`access: session-manager`",
    actions: ["ssm:ResumeSession", "ssm:TerminateSession", "ssmmessages:OpenDataChannel"],
    // AWS fills in who asks.
    on: (scope) => [`${scope.arn}:ssm:*:*:session/\${aws:userid}-*`],
  },
];

const groupsFor = (needs: StackNeeds | undefined) =>
  GROUPS.filter(({ when }) => needs === undefined || WHEN[when](needs));

/** The policy for a stack; without one, for whichever there may be. */
export function policyFor(needs?: StackNeeds): Policy {
  const { region, stack, ami } = needs ?? {};
  const scope: Scope = { arn: `arn:${partition(region ?? "")}`, region, stack, ami };
  return {
    Version: "2012-10-17",
    Statement: groupsFor(needs).map((group) => {
      const Condition = group.if?.(scope);
      return {
        Sid: group.sid,
        Effect: "Allow",
        Action: group.actions,
        Resource: group.on?.(scope) ?? ["*"],
        ...(Condition && { Condition }),
      };
    }),
  };
}

const AWS_ITSELF = "AWS asks for it itself, as part of another call";
const SESSION = "Session Manager's own programs call it";

/** Actions that no test of ours can see called, with why they are permitted all the same. */
export const UNSEEN: Record<string, string> = {
  "iam:PassRole": AWS_ITSELF,
  "iam:CreateServiceLinkedRole": AWS_ITSELF,
  "ssm:StartSession": SESSION,
  "ssm:ResumeSession": SESSION,
  "ssm:TerminateSession": SESSION,
  "ssmmessages:OpenDataChannel": SESSION,
};

/** Actions that are called on occasion, and on which: the life of most stacks has none of it. */
export const OCCASIONAL: Record<string, string> = {
  "ec2:DescribeInstanceCreditSpecifications": "a t type",
  "ec2:ModifyVolume": "a disk grows",
  "ec2:DescribeVolumesModifications": "the system disk grows",
  "ec2:DeleteSnapshot": "taking the last snapshot was interrupted",
  "ec2:DeleteTags": "a tag leaves the configuration",
  "iam:UntagRole": "a tag leaves the configuration",
  "iam:UntagInstanceProfile": "a tag leaves the configuration",
  "iam:TagRole": "a tag changes; and making a role with tags takes it as well",
  "iam:TagInstanceProfile": "a tag changes; and making a profile with tags takes it as well",
  "ec2:ModifySecurityGroupRules": "sshCidr changes",
  "ec2:RevokeSecurityGroupIngress": "access changes, and the stack goes",
  "ec2:ModifyNetworkInterfaceAttribute": "somebody has put the machine behind another firewall",
  "ec2:ModifyInstanceMetadataOptions": "somebody has changed its metadata service",
  "ec2:AssociateIamInstanceProfile": "a machine that is there comes to need a role",
  "ec2:DescribeIamInstanceProfileAssociations": "a machine that is there comes to need a role, or none",
  "ec2:DisassociateIamInstanceProfile": "a machine that is there comes to need no role",
  "ec2:ReplaceIamInstanceProfileAssociation": "a machine that runs gets another role",
  "ec2:DisassociateAddress": "another machine takes the place of one",
  "iam:DetachRolePolicy": "access changes, and the stack goes",
  "iam:DeleteRolePolicy": "data comes from S3 no more, and the stack goes",
};

/** Calls that are not permitted, with why nothing is lost by that. */
export const UNNEEDED: Record<string, string> = {
  "ec2:GetInstanceUefiData": "the official provider asks for an image's, and goes on without",
};

const isExcused = (action: string) => action in UNSEEN || action in OCCASIONAL;

/** What calls say of the list. */
export interface Comparison {
  /** What was called and is not permitted: missing in the list. */
  notPermitted: string[];
  /** What is permitted, was not called, and is neither unseen nor occasional: too much in the list, or not tried. */
  neverCalled: string[];
}

/**
 * Compares the list with calls that were seen.
 *
 * @param calls as policies name them, `ec2:RunInstances`
 * @param needs of the stack that made them; without, of all stacks together
 */
export function compareCalls(calls: Iterable<string>, needs?: StackNeeds): Comparison {
  const called = new Set(calls);
  const permitted = new Set(groupsFor(needs).flatMap(({ actions }) => actions));
  return {
    notPermitted: [...called].filter((call) => !permitted.has(call) && !(call in UNNEEDED)).sort(),
    neverCalled: [...permitted].filter((each) => !called.has(each) && !isExcused(each)).sort(),
  };
}

/** What a stack's permissions depend on, from its configuration. @throws UserError where it is not on AWS */
export function needsIn({ host, data }: Pick<Config, "host" | "data">, stack: string): StackNeeds {
  if (host.kind !== "aws")
    throw new UserError(`gpubox:host: ${stack} is of kind ${host.kind}, and asks nothing of AWS`);
  const { region, access, spot, ami, dataVolume } = host;
  return {
    stack,
    region,
    access,
    spot,
    ami,
    s3: s3Prefixes(data.flatMap(({ url }) => url)).length > 0,
    leavesSnapshot: "keep" in dataVolume && !dataVolume.keep,
  };
}
