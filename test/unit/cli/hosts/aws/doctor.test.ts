/** What is looked at before there is a machine on AWS, with a server on this machine in AWS's place. */
import { text } from "node:stream/consumers";
import { beforeEach, describe, expect, it } from "vitest";
import { awsChecks } from "../../../../../cli/hosts/aws/doctor.ts";
import { hostArgs } from "../../../../support/aws.ts";
import { answerAws } from "../../../../support/aws-server.ts";

/** Answers by action: XML of the query protocol, or JSON. */
type Answers = Record<string, string | object>;

const answers: Answers = {
  GetCallerIdentity:
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/ada</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>",
  DescribeInstanceTypes:
    "<DescribeInstanceTypesResponse><instanceTypeSet><item><vCpuInfo><defaultVCpus>4</defaultVCpus></vCpuInfo></item></instanceTypeSet></DescribeInstanceTypesResponse>",
  GetServiceQuota: { Quota: { Value: 8 } },
};

describe("a stack on AWS", () => {
  let given: Answers;
  let isSilent: boolean;

  beforeEach(() => {
    given = answers;
    isSilent = false;
  });
  answerAws(async (request, response) => {
    const body = await text(request);
    const target = request.headers["x-amz-target"]?.toString().split(".")[1];
    const answer = given[target ?? new URLSearchParams(body).get("Action") ?? ""];
    if (isSilent) return;
    if (typeof answer === "string") {
      response.statusCode = answer.includes("<Errors>") ? 400 : 200;
      return void response.setHeader("content-type", "text/xml").end(answer);
    }
    const refused = answer === undefined || "__type" in answer;
    response.setHeader("content-type", "application/x-amz-json-1.1").statusCode = refused ? 400 : 200;
    response.end(JSON.stringify(answer ?? { __type: "AccessDeniedException", message: "not for you" }));
  });
  const looked = async () =>
    (await awsChecks(hostArgs())).map(({ check, status, found }) => [check, status, found]);

  it("is looked over: who asks, what the account may run, and what it costs by the table", async () => {
    expect(await looked()).toEqual([
      ["AWS credentials", "ok", "arn:aws:iam::1:user/ada"],
      ["quota for g6.xlarge", "ok", "8 vCPUs (L-DB2E81BA)"],
      ["price", "ok", "$0.83/h running, $19.65/month stopped (list prices of 2026-08)"],
    ]);
  });

  it("costs what AWS's own price list says, where that may be asked", async () => {
    const entry = (unit: string, USD: string) => {
      const priceDimensions = { a: { unit, pricePerUnit: { USD } } };
      return JSON.stringify({
        terms: { OnDemand: { a: { effectiveDate: "2026-11-01T00:00:00Z", priceDimensions } } },
      });
    };
    given = { ...answers, GetProducts: { PriceList: [entry("Hrs", "0.9"), entry("GB-Mo", "0.1")] } };
    expect((await looked()).at(-1)).toEqual([
      "price",
      "ok",
      "$0.93/h running, $23.65/month stopped (asked of AWS's price list, valid since 2026-11-01)",
    ]);
  });

  it("has AWS's default for a quota where the account has no value of its own", async () => {
    const GetServiceQuota = { __type: "NoSuchResourceException", message: "there is none" };
    given = { ...answers, GetServiceQuota, GetAWSDefaultServiceQuota: { Quota: { Value: 0 } } };
    const [, quota] = await awsChecks(hostArgs());
    expect(quota).toMatchObject({ status: "fail", found: "0 vCPUs (L-DB2E81BA)" });
    expect(quota?.problem).toContain("this account may run 0");
  });

  it("says what keeps a quota from being read", async () => {
    const { GetServiceQuota: _, ...others } = answers;
    given = others;
    expect((await awsChecks(hostArgs()))[1]).toMatchObject({
      status: "warn",
      found: "unknown",
      problem: expect.stringContaining("L-DB2E81BA"),
    });
  });

  it("cannot come up on a type that the region does not know, in the words in which the program refuses it", async () => {
    const error = "<Error><Code>InvalidInstanceType</Code><Message>there is none</Message></Error>";
    given = { ...answers, DescribeInstanceTypes: `<Response><Errors>${error}</Errors></Response>` };
    expect((await awsChecks(hostArgs()))[1]).toMatchObject({
      check: "instance type g6.xlarge",
      status: "fail",
      problem: expect.stringContaining("gpubox:host.instanceTypes: us-east-1 has no type g6.xlarge ("),
    });
  });

  it("cannot come up on a type without NVMe disks", async () => {
    const type = "<vCpuInfo><defaultVCpus>8</defaultVCpus></vCpuInfo><hypervisor>xen</hypervisor>";
    const set = `<instanceTypeSet><item>${type}</item></instanceTypeSet>`;
    given = {
      ...answers,
      DescribeInstanceTypes: `<DescribeInstanceTypesResponse>${set}</DescribeInstanceTypesResponse>`,
    };
    const [, old, ...rest] = await awsChecks(hostArgs({ instanceTypes: ["p3.2xlarge"] }));
    expect(old).toMatchObject({ check: "instance type p3.2xlarge", status: "fail", found: "too old" });
    expect(old?.problem).toContain("p3.2xlarge is of a generation without NVMe disks (hypervisor xen)");
    expect(rest.map(({ check }) => check)).toEqual(["price"]);
  });

  it("is not waited for where AWS is silent", async () => {
    isSilent = true;
    expect(await looked()).toEqual([["AWS credentials", "fail", "unknown"]]);
  }, 20_000);
});
