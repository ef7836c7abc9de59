/**
 * pulumi-resource-aws for the tests: the types that the program uses, with the official plugin's inputs, defaults and
 * replacement rules. Every call goes through Amazon's own SDK to a server on this machine, never to an account.
 */
import { serveProvider } from "../../../offline/plugins/shared/provider.ts";
import { Cloud, configSchema } from "./cloud.ts";
import { instanceProfile, role, rolePolicy, rolePolicyAttachment } from "./iam.ts";
import { instance, keyPair } from "./instance.ts";
import { functions } from "./lookups.ts";
import { egressRule, eip, eipAssociation, ingressRule, securityGroup } from "./network.ts";
import { volume, volumeAttachment } from "./volume.ts";

const cloud = new Cloud(process.env.AWS_ENDPOINT_URL);

await serveProvider({
  name: "aws",
  version: "7.48.0",
  config: { schema: configSchema, configure: (args) => cloud.configure(args) },
  functions: functions(cloud),
  resources: {
    "aws:ebs/volume:Volume": volume(cloud),
    "aws:ec2/eip:Eip": eip(cloud),
    "aws:ec2/eipAssociation:EipAssociation": eipAssociation(cloud),
    "aws:ec2/instance:Instance": instance(cloud),
    "aws:ec2/keyPair:KeyPair": keyPair(cloud),
    "aws:ec2/securityGroup:SecurityGroup": securityGroup(cloud),
    "aws:ec2/volumeAttachment:VolumeAttachment": volumeAttachment(cloud),
    "aws:iam/instanceProfile:InstanceProfile": instanceProfile(cloud),
    "aws:iam/role:Role": role(cloud),
    "aws:iam/rolePolicy:RolePolicy": rolePolicy(cloud),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": rolePolicyAttachment(cloud),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": egressRule(cloud),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": ingressRule(cloud),
  },
});
