import { describe, expect, it, vi } from "vitest";
import { permissions } from "../../../../cli/commands/permissions.ts";
import { createContext, ROOT } from "../../../../cli/context.ts";
import { parseConfig } from "../../../../config/schema.ts";
import { needsIn, policyFor } from "../../../../machine/aws/calls.ts";

const aws = { kind: "aws", region: "eu-west-1", sshCidr: "mine" };
const needs = (host: object, data: unknown[] = []) =>
  needsIn(parseConfig({ host, root: "~/gpubox", data }, "lab"), "gpubox/lab");

/** What `npm run permissions` prints for people, and for programs. */
async function run(stack?: string) {
  const out = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  const told = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const text = (spy: typeof out) => spy.mock.calls.map(([each]) => String(each)).join("");
  try {
    const args = { stack: stack ?? "dev", isNamed: stack !== undefined, names: [], options: {}, rest: [] };
    const status = await permissions(createContext({ HOME: "/nonexistent" }, ROOT), args);
    return { status, policy: JSON.parse(text(out)), told: text(told) };
  } finally {
    out.mockRestore();
    told.mockRestore();
  }
}

describe("npm run permissions", () => {
  it("prints the policy for any stack, and how to make it one", async () => {
    const { status, policy, told } = await run();
    expect(status).toBe(0);
    expect(policy).toEqual(policyFor());
    expect(told).toContain(
      'aws iam create-policy --policy-name gpubox --policy-document "$(npm run --silent permissions)"\n',
    );
  });

  it("prints that of the stack that is named", async () => {
    const { policy, told } = await run("aws");
    const stack = "gpubox/aws";
    const ami = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id";
    const plain = { access: "ssh", spot: false, s3: false, leavesSnapshot: false } as const;
    expect(policy).toEqual(policyFor({ stack, ami, region: "us-east-1", ...plain }));
    expect(told).toContain('"$(npm run --silent permissions -- -s aws)"\n');
  });

  it("refuses a stack that is not on AWS, or is none", async () => {
    await expect(run("dev")).rejects.toThrow("gpubox/dev is of kind local, and asks nothing of AWS");
    await expect(run("nosuch")).rejects.toThrow(/nosuch/);
  });

  it("goes by the configuration", () => {
    expect(needs(aws)).toMatchObject({ access: "ssh", spot: false, s3: false, leavesSnapshot: false });
    expect(needs({ ...aws, dataVolume: { keep: false } }).leavesSnapshot).toBe(true);
    expect(needs({ ...aws, dataVolume: { id: "vol-0123456789abcdef0" } }).leavesSnapshot).toBe(false);
    const { sshCidr: _, ...closed } = aws;
    expect(needs({ ...closed, access: "session-manager", spot: true })).toMatchObject({
      access: "session-manager",
      spot: true,
    });
    expect(needs(aws, [{ url: "https://example.org/x.zip" }]).s3).toBe(false);
    expect(needs(aws, [{ url: "s3://pets/v1", folder: "pets" }]).s3).toBe(true);
  });
});
