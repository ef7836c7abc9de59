/** Security group with its rules, and addresses that stay. */
import {
  AllocateAddressCommand,
  AssociateAddressCommand,
  AuthorizeSecurityGroupEgressCommand,
  AuthorizeSecurityGroupIngressCommand,
  type AuthorizeSecurityGroupIngressCommandInput,
  CreateSecurityGroupCommand,
  DeleteSecurityGroupCommand,
  DescribeAddressesAttributeCommand,
  DescribeAddressesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSecurityGroupsCommand,
  DisassociateAddressCommand,
  ModifySecurityGroupRulesCommand,
  ReleaseAddressCommand,
  type ResourceType,
  RevokeSecurityGroupEgressCommand,
  RevokeSecurityGroupIngressCommand,
} from "@aws-sdk/client-ec2";
import { z } from "zod";
import type { Resource } from "../../../offline/plugins/shared/provider.ts";
import { type Cloud, tagList } from "./cloud.ts";
import { calling, found } from "./errors.ts";
import { awsResource, retagEc2, type Tags } from "./resource.ts";

/** Tags for something as it is made. */
export function tagged(type: ResourceType, tags: Tags) {
  return Object.keys(tags).length === 0
    ? {}
    : { TagSpecifications: [{ ResourceType: type, Tags: tagList(tags) }] };
}

interface SecurityGroupInputs {
  name: string;
  description: string;
  vpcId?: string;
}

export function securityGroup(cloud: Cloud): Resource {
  return awsResource<SecurityGroupInputs>(cloud, {
    inputs: { name: z.string(), description: z.string().optional(), vpcId: z.string().optional() },
    nameInput: "name",
    outputs: ["arn", "description", "ownerId", "vpcId"],
    replaces: (path) => ["name", "description", "vpcId"].includes(path),
    retag: retagEc2(cloud),
    async create({ name, description = "Managed by Pulumi", vpcId }, tags) {
      const command = new CreateSecurityGroupCommand({
        GroupName: name,
        Description: description,
        VpcId: vpcId,
        ...tagged("security-group", tags),
      });
      const { GroupId = "" } = await calling(`creating Security Group (${name})`, cloud.ec2.send(command));
      return GroupId;
    },
    // EC2 lets everything out of a new group; the official plugin takes that away, so that rules say what there is.
    async settle(id) {
      const IpPermissions = [{ IpProtocol: "-1", IpRanges: [{ CidrIp: "0.0.0.0/0" }] }];
      const command = new RevokeSecurityGroupEgressCommand({ GroupId: id, IpPermissions });
      await calling(`revoking default IPv4 egress rule for Security Group (${id})`, cloud.ec2.send(command));
    },
    async read(id) {
      const command = new DescribeSecurityGroupsCommand({ GroupIds: [id] });
      const answer = await calling(`reading Security Group (${id})`, found(cloud.ec2.send(command)));
      const group = answer?.SecurityGroups?.[0];
      return (
        group && {
          arn: group.SecurityGroupArn,
          description: group.Description,
          name: group.GroupName,
          ownerId: group.OwnerId,
          vpcId: group.VpcId,
        }
      );
    },
    async delete(id) {
      const lingering = new DescribeNetworkInterfacesCommand({
        Filters: [{ Name: "group-id", Values: [id] }],
      });
      await calling(
        `deleting ENIs using Security Group (${id}): listing EC2 Network Interfaces`,
        cloud.ec2.send(lingering),
      );
      const command = new DeleteSecurityGroupCommand({ GroupId: id });
      await calling(`deleting Security Group (${id})`, found(cloud.ec2.send(command)));
    },
  });
}

interface RuleInputs {
  securityGroupId: string;
  description?: string;
  cidrIpv4: string;
  ipProtocol: string;
  fromPort?: number;
  toPort?: number;
}

export const ingressRule = (cloud: Cloud) => rule(cloud, "Ingress");
export const egressRule = (cloud: Cloud) => rule(cloud, "Egress");

function rule(cloud: Cloud, direction: "Ingress" | "Egress"): Resource {
  const authorize = (rules: AuthorizeSecurityGroupIngressCommandInput) =>
    direction === "Ingress"
      ? cloud.ec2.send(new AuthorizeSecurityGroupIngressCommand(rules))
      : cloud.ec2.send(new AuthorizeSecurityGroupEgressCommand({ ...rules, GroupId: rules.GroupId }));
  const revoke = (GroupId: string, id: string) => {
    const ids = { GroupId, SecurityGroupRuleIds: [id] };
    return direction === "Ingress"
      ? cloud.ec2.send(new RevokeSecurityGroupIngressCommand(ids))
      : cloud.ec2.send(new RevokeSecurityGroupEgressCommand(ids));
  };
  return awsResource<RuleInputs>(cloud, {
    inputs: {
      securityGroupId: z.string(),
      description: z.string().optional(),
      cidrIpv4: z.string(),
      ipProtocol: z.string(),
      fromPort: z.number().optional(),
      toPort: z.number().optional(),
    },
    outputs: ["arn", "securityGroupRuleId"],
    replaces: (path) => path === "securityGroupId",
    retag: retagEc2(cloud),
    async create({ securityGroupId, description, cidrIpv4, ipProtocol, fromPort, toPort }, tags) {
      const rules = {
        GroupId: securityGroupId,
        IpPermissions: [
          {
            IpProtocol: ipProtocol,
            FromPort: fromPort,
            ToPort: toPort,
            IpRanges: [{ CidrIp: cidrIpv4, Description: description }],
          },
        ],
        ...tagged("security-group-rule", tags),
      };
      const answer = await calling("creating VPC Security Group Rule", authorize(rules));
      const id = answer.SecurityGroupRules?.[0]?.SecurityGroupRuleId;
      if (!id) throw new Error(`AuthorizeSecurityGroup${direction} answered no rule`);
      return id;
    },
    async read(id, { fromPort, toPort }) {
      const command = new DescribeSecurityGroupRulesCommand({ SecurityGroupRuleIds: [id] });
      const reading = `reading VPC Security Group Rule (${id})`;
      const answer = await calling(reading, found(cloud.ec2.send(command)));
      const rule = answer?.SecurityGroupRules?.find((each) => each.SecurityGroupRuleId === id);
      if (!rule) return undefined;
      // Where there are no ports, EC2 says -1.
      const port = (given: unknown, now: number | undefined) =>
        given === undefined && now === -1 ? undefined : now;
      return {
        arn: rule.SecurityGroupRuleArn,
        cidrIpv4: rule.CidrIpv4,
        description: rule.Description,
        fromPort: port(fromPort, rule.FromPort),
        ipProtocol: rule.IpProtocol,
        securityGroupRuleId: id,
        toPort: port(toPort, rule.ToPort),
      };
    },
    async update(id, { securityGroupId, description, cidrIpv4, ipProtocol, fromPort, toPort }) {
      const command = new ModifySecurityGroupRulesCommand({
        GroupId: securityGroupId,
        SecurityGroupRules: [
          {
            SecurityGroupRuleId: id,
            SecurityGroupRule: {
              CidrIpv4: cidrIpv4,
              Description: description,
              FromPort: fromPort,
              IpProtocol: ipProtocol,
              ToPort: toPort,
            },
          },
        ],
      });
      await calling(`updating VPC Security Group Rule (${id})`, cloud.ec2.send(command));
    },
    async delete(id, { securityGroupId }) {
      await calling(`deleting VPC Security Group Rule (${id})`, found(revoke(String(securityGroupId), id)));
    },
  });
}

export function eip(cloud: Cloud): Resource {
  return awsResource<{ domain?: "vpc" }>(cloud, {
    inputs: { domain: z.literal("vpc").optional() },
    outputs: ["allocationId", "arn", "publicDns", "publicIp"],
    replaces: (path) => path === "domain",
    retag: retagEc2(cloud),
    async create({ domain = "vpc" }, tags) {
      const command = new AllocateAddressCommand({ Domain: domain, ...tagged("elastic-ip", tags) });
      const { AllocationId = "" } = await calling("creating EC2 EIP", cloud.ec2.send(command));
      return AllocationId;
    },
    async read(id) {
      const address = await addressOf(cloud, id);
      const command = new DescribeAddressesAttributeCommand({
        AllocationIds: [id],
        Attribute: "domain-name",
      });
      if (address) await calling(`reading EC2 EIP (${id}) domain name attribute`, cloud.ec2.send(command));
      return address && { allocationId: id, domain: address.Domain, publicIp: address.PublicIp };
    },
    async delete(id) {
      const command = new ReleaseAddressCommand({ AllocationId: id });
      await calling(`deleting EC2 EIP (${id})`, found(cloud.ec2.send(command)));
    },
  });
}

async function addressOf(cloud: Cloud, allocationId: string) {
  const command = new DescribeAddressesCommand({ AllocationIds: [allocationId] });
  const answer = await calling(`reading EC2 EIP (${allocationId})`, found(cloud.ec2.send(command)));
  return answer?.Addresses?.[0];
}

export function eipAssociation(cloud: Cloud): Resource {
  return awsResource<{ allocationId: string; instanceId: string }>(cloud, {
    inputs: { allocationId: z.string(), instanceId: z.string() },
    outputs: ["networkInterfaceId", "privateIpAddress", "publicIp"],
    replaces: () => true,
    async create({ allocationId, instanceId }) {
      const command = new AssociateAddressCommand({ AllocationId: allocationId, InstanceId: instanceId });
      const { AssociationId = "" } = await calling("creating EC2 EIP Association", cloud.ec2.send(command));
      return AssociationId;
    },
    async read(id, { allocationId }) {
      const address = await addressOf(cloud, String(allocationId));
      // An instance that goes takes the association with it.
      if (address?.AssociationId !== id) return undefined;
      return {
        networkInterfaceId: address.NetworkInterfaceId,
        privateIpAddress: address.PrivateIpAddress,
        publicIp: address.PublicIp,
      };
    },
    async delete(id) {
      const command = new DisassociateAddressCommand({ AssociationId: id });
      await calling(`deleting EC2 EIP Association (${id})`, found(cloud.ec2.send(command)));
    },
  });
}
