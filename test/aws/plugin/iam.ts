/** Role, its policy, and the profile through which an instance has it. */
import {
  AddRoleToInstanceProfileCommand,
  AttachRolePolicyCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  DeleteInstanceProfileCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  DetachRolePolicyCommand,
  GetInstanceProfileCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListAttachedRolePoliciesCommand,
  ListInstanceProfilesForRoleCommand,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
  RemoveRoleFromInstanceProfileCommand,
  TagInstanceProfileCommand,
  TagRoleCommand,
  UntagInstanceProfileCommand,
  UntagRoleCommand,
  UpdateAssumeRolePolicyCommand,
  UpdateRoleDescriptionCommand,
} from "@aws-sdk/client-iam";
import { z } from "zod";
import type { Resource } from "../../../offline/plugins/shared/provider.ts";
import { type Cloud, tagList } from "./cloud.ts";
import { calling, found } from "./errors.ts";
import { awsResource } from "./resource.ts";

interface RoleInputs {
  name: string;
  assumeRolePolicy: string;
  description?: string;
}

export function role(cloud: Cloud): Resource {
  return awsResource<RoleInputs>(cloud, {
    inputs: { name: z.string(), assumeRolePolicy: z.string(), description: z.string().optional() },
    nameInput: "name",
    outputs: ["arn", "uniqueId"],
    replaces: (path) => path === "name",
    retag: async (RoleName, set, TagKeys) => {
      if (TagKeys.length > 0) await cloud.iam.send(new UntagRoleCommand({ RoleName, TagKeys }));
      await cloud.iam.send(new TagRoleCommand({ RoleName, Tags: tagList(set) }));
    },
    async create({ name, assumeRolePolicy, description }, tags) {
      const command = new CreateRoleCommand({
        RoleName: name,
        AssumeRolePolicyDocument: assumeRolePolicy,
        Description: description,
        Tags: tagList(tags),
      });
      await calling(`creating IAM Role (${name})`, cloud.iam.send(command));
      return name;
    },
    async read(RoleName) {
      const reading = `reading IAM Role (${RoleName})`;
      const answer = await calling(reading, found(cloud.iam.send(new GetRoleCommand({ RoleName }))));
      if (!answer?.Role) return undefined;
      const inline = `reading inline policies for IAM role ${RoleName}, error`;
      const { PolicyNames = [] } = await calling(
        inline,
        cloud.iam.send(new ListRolePoliciesCommand({ RoleName })),
      );
      for (const PolicyName of PolicyNames)
        await calling(inline, found(cloud.iam.send(new GetRolePolicyCommand({ RoleName, PolicyName }))));
      await calling(
        `reading IAM Policies attached to Role (${RoleName})`,
        cloud.iam.send(new ListAttachedRolePoliciesCommand({ RoleName })),
      );
      const { Arn, AssumeRolePolicyDocument = "", Description, RoleId } = answer.Role;
      return {
        arn: Arn,
        assumeRolePolicy: decodeURIComponent(AssumeRolePolicyDocument),
        description: Description,
        uniqueId: RoleId,
      };
    },
    async update(RoleName, { assumeRolePolicy, description: Description = "" }, changed) {
      const updating = `updating IAM Role (${RoleName})`;
      if (changed.includes("assumeRolePolicy")) {
        const command = new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: assumeRolePolicy });
        await calling(`${updating} assume role policy`, cloud.iam.send(command));
      }
      if (changed.includes("description")) {
        const command = new UpdateRoleDescriptionCommand({ RoleName, Description });
        await calling(`${updating} description`, cloud.iam.send(command));
      }
    },
    async delete(RoleName) {
      const deleting = `deleting IAM Role (${RoleName})`;
      const question = new ListInstanceProfilesForRoleCommand({ RoleName });
      await calling(deleting, found(cloud.iam.send(question)));
      await calling(deleting, found(cloud.iam.send(new DeleteRoleCommand({ RoleName }))));
    },
  });
}

interface RolePolicyInputs {
  name: string;
  role: string;
  policy: string;
}

export function rolePolicy(cloud: Cloud): Resource {
  const put = ({ name, role, policy }: RolePolicyInputs) =>
    calling(
      `putting IAM Role (${role}) Policy (${name})`,
      cloud.iam.send(new PutRolePolicyCommand({ RoleName: role, PolicyName: name, PolicyDocument: policy })),
    );
  const names = (id: string) => {
    const [RoleName = "", PolicyName = ""] = id.split(":");
    return { RoleName, PolicyName };
  };
  return awsResource<RolePolicyInputs>(cloud, {
    inputs: { name: z.string(), role: z.string(), policy: z.string() },
    nameInput: "name",
    outputs: [],
    replaces: (path) => path !== "policy",
    async create(inputs) {
      await put(inputs);
      return `${inputs.role}:${inputs.name}`;
    },
    async read(id) {
      const command = new GetRolePolicyCommand(names(id));
      const answer = await calling(`reading IAM Role Policy (${id})`, found(cloud.iam.send(command)));
      return answer && { policy: decodeURIComponent(answer.PolicyDocument ?? "") };
    },
    async update(_, inputs) {
      await put(inputs);
    },
    async delete(id) {
      const command = new DeleteRolePolicyCommand(names(id));
      await calling(`deleting IAM Role Policy (${id})`, found(cloud.iam.send(command)));
    },
  });
}

interface PolicyAttachmentInputs {
  role: string;
  policyArn: string;
}

export function rolePolicyAttachment(cloud: Cloud): Resource {
  return awsResource<PolicyAttachmentInputs>(cloud, {
    inputs: { role: z.string(), policyArn: z.string() },
    outputs: [],
    replaces: () => true,
    async create({ role, policyArn }) {
      const command = new AttachRolePolicyCommand({ RoleName: role, PolicyArn: policyArn });
      await calling(`attaching IAM Policy (${policyArn}) to IAM Role (${role})`, cloud.iam.send(command));
      return `${role}/${policyArn}`;
    },
    async read(id, { role, policyArn }) {
      const command = new ListAttachedRolePoliciesCommand({ RoleName: String(role) });
      const reading = `reading IAM Role Policy Attachment (${id})`;
      const answer = await calling(reading, found(cloud.iam.send(command)));
      return answer?.AttachedPolicies?.some(({ PolicyArn }) => PolicyArn === policyArn) ? {} : undefined;
    },
    async delete(_, { role, policyArn }) {
      const ids = { RoleName: String(role), PolicyArn: String(policyArn) };
      await calling(
        `detaching IAM Policy (${policyArn}) from IAM Role (${role})`,
        found(cloud.iam.send(new DetachRolePolicyCommand(ids))),
      );
    },
  });
}

interface InstanceProfileInputs {
  name: string;
  role?: string;
}

export function instanceProfile(cloud: Cloud): Resource {
  const add = (InstanceProfileName: string, RoleName: string) =>
    cloud.iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName }));
  const remove = (InstanceProfileName: string, RoleName: string) =>
    found(cloud.iam.send(new RemoveRoleFromInstanceProfileCommand({ InstanceProfileName, RoleName })));
  return awsResource<InstanceProfileInputs>(cloud, {
    inputs: { name: z.string(), role: z.string().optional() },
    nameInput: "name",
    outputs: ["arn", "uniqueId"],
    replaces: (path) => path === "name",
    retag: async (InstanceProfileName, set, TagKeys) => {
      if (TagKeys.length > 0)
        await cloud.iam.send(new UntagInstanceProfileCommand({ InstanceProfileName, TagKeys }));
      await cloud.iam.send(new TagInstanceProfileCommand({ InstanceProfileName, Tags: tagList(set) }));
    },
    async create({ name, role }, tags) {
      const command = new CreateInstanceProfileCommand({ InstanceProfileName: name, Tags: tagList(tags) });
      await calling(`creating IAM Instance Profile (${name})`, cloud.iam.send(command));
      if (role) await add(name, role);
      return name;
    },
    async read(InstanceProfileName) {
      const command = new GetInstanceProfileCommand({ InstanceProfileName });
      const reading = `reading IAM Instance Profile (${InstanceProfileName})`;
      const answer = await calling(reading, found(cloud.iam.send(command)));
      const profile = answer?.InstanceProfile;
      const RoleName = profile?.Roles?.[0]?.RoleName;
      if (RoleName)
        await calling(
          `reading IAM Role (${RoleName}) attached to IAM Instance Profile (${InstanceProfileName})`,
          cloud.iam.send(new GetRoleCommand({ RoleName })),
        );
      return (
        profile && {
          arn: profile.Arn,
          uniqueId: profile.InstanceProfileId,
          role: RoleName,
        }
      );
    },
    async update(name, { role }, _, state) {
      if (state.role) await remove(name, String(state.role));
      if (role) await add(name, role);
    },
    async delete(InstanceProfileName, { role }) {
      if (role) await remove(InstanceProfileName, String(role));
      const command = new DeleteInstanceProfileCommand({ InstanceProfileName });
      await calling(`deleting IAM Instance Profile (${InstanceProfileName})`, found(cloud.iam.send(command)));
    },
  });
}
