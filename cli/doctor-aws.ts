/** What a stack on AWS depends on, before there is a machine. */
import {
  DescribeInstanceTypesCommand,
  EC2Client,
  type _InstanceType as InstanceType,
} from "@aws-sdk/client-ec2";
import { GetServiceQuotaCommand, ServiceQuotasClient } from "@aws-sdk/client-service-quotas";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { priceTexts } from "../components/host/aws/prices.ts";
import { quotaOf, quotaProblem } from "../components/host/aws/quota.ts";
import { type Check, check } from "../components/host/check.ts";
import type { HostConfig } from "../config.ts";

type AwsHost = Extract<HostConfig, { kind: "aws" }>;

/** How long AWS may take to answer one question, in milliseconds. */
const PATIENCE = 8_000;

/** Settings of every client: without many retries, so that what is wrong is said soon. */
function settings({ region, profile }: AwsHost) {
  return {
    region,
    ...(profile ? { profile } : {}),
    maxAttempts: 2,
    requestHandler: { connectionTimeout: PATIENCE / 2, requestTimeout: PATIENCE },
  };
}

export async function awsChecks(host: AwsHost): Promise<Check[]> {
  const credentials = await whoAmI(host);
  if (credentials.status === "fail") return [credentials];
  return [credentials, ...(await quotas(host)), price(host)];
}

async function whoAmI(host: AwsHost): Promise<Check> {
  const needed = "an account that AWS knows";
  try {
    const { Arn = "" } = await new STSClient(settings(host)).send(new GetCallerIdentityCommand({}));
    return check("AWS credentials", { found: Arn, needed });
  } catch (error) {
    const { name, message } = error as Error;
    const profile = host.profile ? ` of profile ${host.profile}` : "";
    return check(
      "AWS credentials",
      { found: "none that AWS takes", needed },
      `gpubox:host.profile: AWS does not know you by the credentials${profile} (${name}: ${message}): log in with \`aws configure\` or \`aws sso login\`, or name another profile`,
    );
  }
}

/** Whether a type fits the account: one of them has to. */
async function quotas(host: AwsHost): Promise<Check[]> {
  const looks = await Promise.all(host.instanceTypes.map((type) => quota(host, type)));
  const someFits = looks.some(({ status }) => status !== "fail");
  return looks.map((each) => (someFits && each.status === "fail" ? { ...each, status: "warn" } : each));
}

async function quota(host: AwsHost, instanceType: string): Promise<Check> {
  const name = `quota for ${instanceType}`;
  const known = quotaOf(instanceType, host.spot);
  const unknown = (why: string) =>
    check(name, { found: "unknown", needed: "its vCPUs" }, `gpubox:host.instanceTypes: ${why}`, "warn");
  if (!known) return unknown(`the quota of ${instanceType} is not known to gpubox and was not checked`);
  try {
    const types = { InstanceTypes: [instanceType as InstanceType] };
    const [{ InstanceTypes = [] }, { Quota }] = await Promise.all([
      new EC2Client(settings(host)).send(new DescribeInstanceTypesCommand(types)),
      new ServiceQuotasClient(settings(host)).send(
        new GetServiceQuotaCommand({ ServiceCode: "ec2", QuotaCode: known.code }),
      ),
    ]);
    const needed = InstanceTypes[0]?.VCpuInfo?.DefaultVCpus ?? 0;
    const allowed = Quota?.Value ?? 0;
    const problem = quotaProblem({ instanceType, region: host.region, quota: known, needed, allowed });
    const about = { found: `${allowed} vCPUs (${known.code})`, needed: `${needed} vCPUs` };
    return check(name, about, problem && `gpubox:host.instanceTypes: ${problem}`);
  } catch (error) {
    return unknown(`quota ${known.code} (${known.name}) cannot be read: ${(error as Error).message}`);
  }
}

/** Nothing to pass or fail: what the first of the types costs. */
function price(host: AwsHost): Check {
  const [instanceType = ""] = host.instanceTypes;
  const data = "size" in host.dataVolume ? host.dataVolume.size : undefined;
  const volumes = data === undefined ? undefined : host.rootSize + data;
  const { running, stopped } = priceTexts({ region: host.region, instanceType, spot: host.spot, volumes });
  return check("price", {
    found: `${running} running, ${stopped} stopped`,
    needed: "nothing of this machine",
  });
}
