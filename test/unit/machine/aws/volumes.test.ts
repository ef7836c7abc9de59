/** What becomes of a stack whose data is on a volume already: the same for the program and for the commands. */
import { describe, expect, it } from "vitest";
import { makesVolume, secondVolumeProblem } from "../../../../machine/aws/volumes.ts";

const volume = (id: string, ...usedBy: string[]) => ({ id, zone: "us-east-1b", size: 50, usedBy });
const owner = { stack: "gpubox/aws", region: "us-east-1", known: {} };

it("makes a volume where neither its configuration names one nor its state has one", () => {
  expect(makesVolume(undefined, {})).toBe(true);
  expect(makesVolume("vol-1", {})).toBe(false);
  expect(makesVolume(undefined, { volume: "vol-1" })).toBe(false);
});

describe("a second volume", () => {
  it("is no problem where none carries the stack's tag", () => {
    expect(secondVolumeProblem(owner, [])).toBeUndefined();
  });

  it("is not made beside one that was kept: every way out is a line to copy", () => {
    const lines = secondVolumeProblem(owner, [volume("vol-1"), volume("vol-2")])?.split("\n") ?? [];
    expect(lines[0]).toBe(
      "the data of stack aws is still there: vol-1 (50 GB, us-east-1b), vol-2 (50 GB, us-east-1b). Nothing was created.",
    );
    const rest = lines.slice(1).map((line) => line.replace(/^.*?: {2,}/, ""));
    expect(rest).toEqual([
      "dataVolume: {id: vol-1}",
      "dataVolume: {id: vol-2}",
      "aws ec2 delete-tags --region us-east-1 --tags Key=gpubox.role --resources vol-1 vol-2",
      "aws ec2 delete-volume --region us-east-1 --volume-id vol-1",
      "aws ec2 delete-volume --region us-east-1 --volume-id vol-2",
    ]);
  });

  it("is not made beside one that somebody else's machine has, and nobody is told to go on with that", () => {
    const problem = secondVolumeProblem(owner, [volume("vol-1"), volume("vol-2", "i-9")]);
    expect(problem).toMatch(/^vol-2 \(50 GB, us-east-1b\) has .* stack gpubox\/aws .* in use by i-9, /);
    expect(problem).toContain("npm run init -- -s NAME --kind aws");
    expect(problem).not.toContain("dataVolume");
  });

  it("is not made beside the one that the stack's own machine has, as its configuration names it no more", () => {
    const problem = secondVolumeProblem({ ...owner, known: { instance: "i-1" } }, [volume("vol-1", "i-1")]);
    expect(problem).toContain("the data of stack aws is still there");
    expect(problem).toContain("dataVolume: {id: vol-1}");
  });
});
