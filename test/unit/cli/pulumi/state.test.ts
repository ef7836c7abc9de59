import { describe, expect, it } from "vitest";
import type { State, StateResource } from "../../../../cli/pulumi/checkpoint.ts";
import { followsConfiguration } from "../../../../cli/pulumi/reconcile.ts";
import { tainted, unfinished, withoutUnfinished } from "../../../../cli/pulumi/state.ts";

describe("an interrupted state", () => {
  const container = {
    urn: "urn:c",
    type: "docker:index/container:Container",
    inputs: { name: "container1" },
  };
  const instance = { urn: "urn:i", type: "aws:ec2/instance:Instance" };
  const state = (...pending: { type: string; resource: typeof instance }[]): State => ({
    version: 3,
    deployment: { resources: [instance], pending_operations: pending },
  });

  it("names what was being made", () => {
    expect(
      unfinished(state({ type: "creating", resource: container }, { type: "deleting", resource: instance })),
    ).toEqual([container]);
    expect(unfinished({ version: 3, deployment: {} })).toEqual([]);
  });
  it("loses only creations that can be done again", () => {
    const aws = { type: "creating", resource: instance };
    const before = state({ type: "creating", resource: container }, aws);
    expect(withoutUnfinished(before)?.deployment).toEqual({
      resources: [instance],
      pending_operations: [aws],
    });
  });
  it("is left alone where there is nothing to lose", () => {
    expect(withoutUnfinished(state({ type: "creating", resource: instance }))).toBeUndefined();
    expect(withoutUnfinished(state({ type: "deleting", resource: container }))).toBeUndefined();
    expect(withoutUnfinished({ version: 3, deployment: {} })).toBeUndefined();
  });
});

describe("what a run that did not end well may have changed on a host", () => {
  const script = (urn: string, other: Partial<StateResource> = {}): StateResource => ({
    urn: `urn:pulumi:dev::gpubox::${urn}`,
    type: "command:local:Command",
    inputs: { create: "…" },
    ...other,
  });
  const inWorkspace = (parent: string, name: string) =>
    `gpubox:workspace:Workspace$gpubox:workspace:${parent}$command:local:Command::${name}`;
  const checkout = script(inWorkspace("CodeRepository", "code-course-checkout"));

  it("is what its configuration has a script put there", () => {
    expect(followsConfiguration(checkout)).toBe(true);
    expect(followsConfiguration(script(inWorkspace("Dataset", "data-set-download")))).toBe(true);
    expect(followsConfiguration(script("gpubox:host:AwsHost$command:local:Command::host-idle-stop"))).toBe(
      true,
    );
  });
  it.each([
    ["a script that changes nothing", script(inWorkspace("Notebook", "container1-ready"))],
    ["the folder that all is below", script("gpubox:host:LocalHost$command:local:Command::host-root")],
    ["what runs on delete", { ...checkout, inputs: { delete: "…" } }],
    ["what is replaced already", { ...checkout, delete: true }],
    ["the entry around it", { ...checkout, type: "gpubox:workspace:CodeRepository" }],
  ])("is not %s", (_, resource) => expect(followsConfiguration(resource)).toBe(false));

  it("is marked once, and nothing else is touched", () => {
    const other = script("other");
    const state: State = {
      version: 4,
      features: ["replaceWith"],
      deployment: { resources: [other, checkout] },
    };
    const marked = tainted(state, followsConfiguration);
    expect(marked).toEqual({ ...state, deployment: { resources: [other, { ...checkout, taint: true }] } });
    expect(tainted(marked as State, followsConfiguration)).toBeUndefined();
    expect(tainted({ version: 3, deployment: {} }, followsConfiguration)).toBeUndefined();
  });
});
