import { describe, expect, it } from "vitest";
import { whatStaysOnAws } from "../../../cli/aws.ts";

describe("after destroy", () => {
  it("the person is told what stays, how to use it again and how to be rid of it", () => {
    const text = whatStaysOnAws("aws", { region: "us-east-1" }, "vol-1");
    expect(text).toContain("dataVolume: {id: vol-1}");
    expect(text).toContain("aws ec2 delete-volume --region us-east-1 --volume-id vol-1");
    const snapshot = whatStaysOnAws("aws", { region: "us-east-1", dataVolume: { keep: false } }, "vol-1");
    expect(snapshot).toContain("last snapshot");
    expect(snapshot).not.toContain("delete-volume");
    expect(whatStaysOnAws("aws", {}, undefined)).toBe("stack aws is torn down.");
  });
});
