import { describe, expect, it } from "vitest";
import { only } from "../support/recorder.ts";
import { HOSTS, NO_GPU, recordStack } from "../support/stack.ts";

const raw = {
  code: [{ url: "https://example.org/fastai.git", ref: "v1" }],
  data: [{ url: "https://example.org/pets.zip", sha256: "a".repeat(64) }],
  notebooks: [
    { name: "container1", gpus: "none" },
    { name: "container2", gpus: "none", port: 8889 },
  ],
};

/** What every kind of host has to end up with; scripts run by another resource on each. */
const CHILDREN = [
  "code-fastai > code-fastai-checkout script",
  "code-fastai > code-fastai-retire script",
  "container1 > container1-container docker:index/container:Container",
  "container1 > container1-folders script",
  "container1 > container1-home docker:index/volume:Volume",
  "container1 > container1-home-removal script",
  "container1 > container1-packages script",
  "container1 > container1-ready script",
  "container1 > container1-token random:index/randomPassword:RandomPassword",
  "container2 > container2-container docker:index/container:Container",
  "container2 > container2-folders script",
  "container2 > container2-home docker:index/volume:Volume",
  "container2 > container2-home-removal script",
  "container2 > container2-packages script",
  "container2 > container2-ready script",
  "container2 > container2-token random:index/randomPassword:RandomPassword",
  "data-pets > data-pets-download script",
  "data-pets > data-pets-retire script",
  "image > image-build docker:index/image:Image",
  "workspace > code-fastai gpubox:workspace:CodeRepository",
  "workspace > container1 gpubox:workspace:Notebook",
  "workspace > container2 gpubox:workspace:Notebook",
  "workspace > data-pets gpubox:workspace:Dataset",
  "workspace > image gpubox:workspace:NotebookImage",
  "workspace > network docker:index/network:Network",
];

describe.each(Object.keys(HOSTS))("on host %s", (kind) => {
  it("a workspace has the same children", async () => {
    const { resources } = await recordStack(raw, NO_GPU, kind);
    const parents = new Map(resources.map(({ name, parent }) => [name, parent]));
    const inWorkspace = (name: string | undefined): boolean =>
      name !== undefined && (name === "workspace" || inWorkspace(parents.get(name)));
    const children = resources
      .filter(({ name, parent }) => name !== "workspace" && inWorkspace(parent))
      .map(
        ({ type, name, parent }) => `${parent} > ${name} ${type.startsWith("command:") ? "script" : type}`,
      );
    expect(children.sort()).toEqual(CHILDREN);
  });

  it("its containers get the host's user, folders and GPUs", async () => {
    const { resources } = await recordStack(raw, NO_GPU, kind);
    const { inputs } = only(resources, "docker:index/container:Container", "container2-container");
    expect(inputs.user).toBe("1000:1000");
    expect(inputs.mounts).toContainEqual({
      type: "bind",
      source: "/home/ada/docker_mount/data",
      target: "/data",
    });
  });
});
