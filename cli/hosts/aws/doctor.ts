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
import { judgeQuotas, quotaChecks } from "../../../machine/aws/quota.ts";
import { isNvidia, type TypeFacts, typeProblem, typeQuestion } from "../../../machine/aws/types.ts";
import { inWords, unansweredProblem, whyUnanswered } from "../../../machine/aws/unanswered.ts";
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
  const [fits, costs] = await Promise.all([typesFit(host), price(host)]);
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

/** Whether there are such types, and whether they fit the account. */
async function typesFit(host: AwsHost): Promise<Check[]> {
  const looks = await Promise.all(host.instanceTypes.map((type) => lookAtType(host, type)));
  const problems = looks.filter((look) => "status" in look);
  const types = looks.filter((look) => "vcpus" in look);
  const read = (code: string) => allowedVcpus(host, code);
  return [...problems, ...quotaChecks(await judgeQuotas(types, { ...host, read }))];
}

/** What AWS says of a type; a check that fails where no machine can be of it. */
async function lookAtType(host: AwsHost, instanceType: string): Promise<TypeFacts | Check> {
  const failed = (found: string, problem: string) =>
    check(`instance type ${instanceType}`, { found, needed: `a type of ${host.region}` }, problem);
  try {
    const type = await describeType(host, instanceType);
    const problem = typeProblem(type);
    return problem ? failed("too old", problem) : type;
  } catch (error) {
    return failed("unknown", unansweredProblem(typeQuestion(instanceType, host.region), error));
  }
}

async function describeType(host: AwsHost, instanceType: string): Promise<TypeFacts> {
  const types = { InstanceTypes: [instanceType as InstanceType] };
  const { InstanceTypes = [] } = await new EC2Client(settings(host)).send(
    new DescribeInstanceTypesCommand(types),
  );
  const [type = {}] = InstanceTypes;
  return {
    instanceType,
    vcpus: type.VCpuInfo?.DefaultVCpus ?? 0,
    gpu: (type.GpuInfo?.Gpus ?? []).some(({ Manufacturer }) => isNvidia(Manufacturer)),
    architectures: type.ProcessorInfo?.SupportedArchitectures ?? [],
    hypervisor: type.Hypervisor,
    nvme: type.EbsInfo?.NvmeSupport,
  };
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
