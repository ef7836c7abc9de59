/** Whether an account may launch what a stack names: judged here for the program and for the doctor. */
import { describe, expect, it } from "vitest";
import { judgeQuotas, noneFits, quotaChecks } from "../../../../machine/aws/quota.ts";

const G = { instanceType: "g6.xlarge", vcpus: 4 };
const P = { instanceType: "p5.48xlarge", vcpus: 192 };
const CODES = { G: "L-DB2E81BA", P: "L-417A185B" };

describe("types judged by their quotas", () => {
  const judge = (types: (typeof G)[], values: Record<string, number>) =>
    judgeQuotas(types, {
      region: "us-east-1",
      spot: false,
      read: async (code) => values[code] ?? Promise.reject(new Error("AccessDeniedException")),
    });
  const outcome = async (...args: Parameters<typeof judge>) => {
    const judged = await judge(...args);
    return {
      fits: judged.map(({ fits }) => fits),
      none: noneFits(judged),
      status: quotaChecks(judged).map(({ status }) => status),
    };
  };

  it("fail where none of them fits", async () => {
    const all = await outcome([P, G], { [CODES.P]: 0, [CODES.G]: 3 });
    expect(all).toEqual({ fits: [false, false], none: true, status: ["fail", "fail"] });
  });

  it("are a warning where another fits", async () => {
    const all = await outcome([P, G], { [CODES.P]: 0, [CODES.G]: 4 });
    expect(all).toEqual({ fits: [false, true], none: false, status: ["warn", "ok"] });
  });

  it("are let pass where it cannot be known, with the reason", async () => {
    const unknown = { instanceType: "mac2.metal", vcpus: 12 };
    const judged = await judge([G, unknown], {});
    expect(judged.map(({ fits }) => fits)).toEqual([true, true]);
    expect(quotaChecks(judged)).toMatchObject([
      {
        status: "warn",
        found: "unknown",
        problem:
          "gpubox:host.instanceTypes: quota L-DB2E81BA (Running On-Demand G and VT instances) cannot be read, so whether g6.xlarge fits was not checked: AccessDeniedException: ask the account's administrator to allow it: `npm run permissions` prints the policy that gpubox needs",
      },
      { status: "warn", problem: expect.stringContaining("the quota of mac2.metal is not known to gpubox") },
    ]);
  });

  it("are not all unfit where there are none to judge", () => {
    expect(noneFits([])).toBe(false);
  });
});
