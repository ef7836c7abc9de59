/** What a stack on AWS depends on, before there is a machine. */
import {
  DescribeInstanceTypesCommand,
  EC2Client,
  type _InstanceType as InstanceType,
} from "@aws-sdk/client-ec2";
import {
  GetAWSDefaultServiceQuotaCommand,
  GetServiceQuotaCommand,
  ServiceQuotasClient,
} from "@aws-sdk/client-service-quotas";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import type { HostConfig } from "../../../config/host/index.ts";
import { askPrices } from "../../../machine/aws/ask-prices.ts";
import { priceTexts, sourced } from "../../../machine/aws/prices.ts";
import { quotaOf, quotaProblem } from "../../../machine/aws/quota.ts";
import { inWords, whyUnanswered } from "../../../machine/aws/unanswered.ts";
import { type Check, check } from "../../../machine/checks/check.ts";

type AwsHost = Extract<HostConfig, { kind: "aws" }>;

/** How long AWS may take to answer one question, in milliseconds; it is asked twice. */
const PATIENCE_MS = 4_000;

/** Settings of every client: without many retries, so that what is wrong is said soon. */
function settings({ region, profile }: AwsHost) {
  return {
    region,
    ...(profile ? { profile } : {}),
    maxAttempts: 2,
    requestHandler: {
      connectionTimeout: PATIENCE_MS,
      requestTimeout: PATIENCE_MS,
      throwOnRequestTimeout: true,
    },
  };
}

export async function awsChecks(host: AwsHost): Promise<Check[]> {
  const credentials = await whoAmI(host);
  if (credentials.status === "fail") return [credentials];
  const [fits, costs] = await Promise.all([quotas(host), price(host)]);
  return [credentials, ...fits, costs];
}

async function whoAmI(host: AwsHost): Promise<Check> {
  const needed = "an account that AWS knows";
  try {
    const { Arn = "" } = await new STSClient(settings(host)).send(new GetCallerIdentityCommand({}));
    return check("AWS credentials", { found: Arn, needed });
  } catch (error) {
    const why = whyUnanswered(error);
    const profile = host.profile ? ` of profile ${host.profile}` : "";
    if (why.kind !== "login") {
      return check(
        "AWS credentials",
        { found: "unknown", needed },
        `cannot ask AWS who you are: ${inWords(why)}`,
      );
    }
    return check(
      "AWS credentials",
      { found: "none that AWS accepts", needed },
      `gpubox:host.profile: AWS rejects the credentials${profile} (${why.reason}): log in with \`aws configure\` or \`aws sso login\`, or set another profile`,
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
    const [{ InstanceTypes = [] }, allowed] = await Promise.all([
      new EC2Client(settings(host)).send(new DescribeInstanceTypesCommand(types)),
      allowedVcpus(host, known.code),
    ]);
    const needed = InstanceTypes[0]?.VCpuInfo?.DefaultVCpus ?? 0;
    const problem = quotaProblem({ instanceType, region: host.region, quota: known, needed, allowed });
    const about = { found: `${allowed} vCPUs (${known.code})`, needed: `${needed} vCPUs` };
    return check(name, about, problem && `gpubox:host.instanceTypes: ${problem}`);
  } catch (error) {
    return unknown(`quota ${known.code} (${known.name}) cannot be read: ${inWords(whyUnanswered(error))}`);
  }
}

/** What the account may run; where it never had a value of its own, that is AWS's default. */
async function allowedVcpus(host: AwsHost, QuotaCode: string): Promise<number> {
  const client = new ServiceQuotasClient(settings(host));
  const asked = { ServiceCode: "ec2", QuotaCode };
  const { Quota } = await client.send(new GetServiceQuotaCommand(asked)).catch((error: Error) => {
    if (error.name !== "NoSuchResourceException") throw error;
    return client.send(new GetAWSDefaultServiceQuotaCommand(asked));
  });
  return Quota?.Value ?? 0;
}

/** Nothing to pass or fail: what the first of the types costs. */
async function price(host: AwsHost): Promise<Check> {
  const [instanceType = ""] = host.instanceTypes;
  const data = "size" in host.dataVolume ? host.dataVolume.size : undefined;
  const volumes = data === undefined ? undefined : host.rootSize + data;
  const { region, profile, spot } = host;
  const asked = await askPrices({ region, profile, instanceType });
  const texts = priceTexts({ region, instanceType, spot, volumes }, asked);
  return check("price", {
    found: sourced(`${texts.running} running, ${texts.stopped} stopped`, texts),
    needed: "nothing of this machine",
  });
}
