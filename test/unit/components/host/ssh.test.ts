import { describe, expect, it } from "vitest";
import { only, type Recorded } from "../../../support/recorder.ts";
import { NO_GPU, recordStack, SSH } from "../../../support/stack.ts";

const COMMAND = "command:local:Command";
const sha256 = "a".repeat(64);
const raw = {
  code: [{ url: "https://example.org/fastai.git", ref: "v1" }],
  data: [{ url: "https://example.org/pets.zip", sha256, purge: true }],
  notebooks: [{ name: "container1", gpus: "none" }],
};
const record = () => recordStack(raw, NO_GPU, "ssh");
const endsWith = (suffix: string) => (resource: Recorded) => resource.name.endsWith(suffix);

describe("a host reached by SSH", () => {
  it("ties all that is on its daemon to the machine's own entry", async () => {
    const { resources } = await record();
    const onDaemon = resources.filter(({ type }) => type.startsWith("docker:"));
    expect(onDaemon).toHaveLength(4);
    for (const { provider, deletedWith, replaceWith } of onDaemon) {
      expect(provider).toContain("ssh-docker");
      expect(deletedWith).toMatch(/::ssh-machine$/);
      expect(replaceWith).toEqual([deletedWith]);
    }
  });

  it("still runs on deletion what an entry wants then", async () => {
    const { resources } = await record();
    const retired = resources.filter(endsWith("-retire"));
    expect(retired).toHaveLength(2);
    for (const { inputs, deletedWith } of retired) {
      expect(deletedWith).toBe("");
      expect(inputs.create).toBeUndefined();
      expect(inputs.triggers).toBeUndefined();
      expect(inputs.delete).toContain("gpu.example.org");
      expect(inputs.delete).toContain("retire.py did not run there");
    }
  });

  it("takes along on deletion what is labelled as this very stack's, on this very daemon", async () => {
    const { resources } = await record();
    const { inputs } = only(resources, COMMAND, "ssh-machine");
    expect(inputs.create).toBeUndefined();
    expect(inputs.triggers).toEqual(["daemon-1", "ssh-owner-c0ffee"]);
    expect(inputs.stdin).toMatch(
      /^export STACK=gpubox\/dev\nexport OWNER=ssh-owner-c0ffee\nexport DAEMON=daemon-1\n#!\/bin\/sh/,
    );
    expect(inputs.delete).toContain("docker ps -aq --filter label=gpubox.owner=ssh-owner-c0ffee");
    const labelled = resources.filter(({ type }) => /:(Container|Network|Volume)$/.test(type));
    expect(labelled).toHaveLength(3);
    for (const resource of labelled) {
      expect(resource.inputs.labels).toContainEqual({ label: "gpubox.owner", value: "ssh-owner-c0ffee" });
      expect(resource.inputs.labels).toContainEqual({ label: "gpubox.stack", value: "gpubox/dev" });
    }
  });

  it("hands its docker provider the connection of the scripts", async () => {
    const { resources } = await record();
    const { inputs } = only(resources, "pulumi:providers:docker");
    expect(inputs.host).toBe("ssh://ada@gpu.example.org:2222");
    const options: string[] =
      typeof inputs.sshOpts === "string" ? JSON.parse(inputs.sshOpts) : inputs.sshOpts;
    expect(options).toContain("StrictHostKeyChecking=yes");
    const control = options.find((option) => option.startsWith("ControlPath="));
    expect(only(resources, COMMAND, "ssh-root").inputs.create).toContain(control);
  });

  it("sends a script with its parameters on standard input", async () => {
    const { resources } = await record();
    const { inputs, deletedWith } = only(resources, COMMAND, "data-pets-download");
    expect(inputs.environment).toBeUndefined();
    expect(inputs.stdin).toContain("export ROOT=/home/ada/docker_mount\n");
    expect(inputs.stdin).toContain("export URLS=https://example.org/pets.zip\n");
    expect(inputs.stdin).toContain("\n# ==== gpubox_data.dataset ====\n");
    expect(inputs.triggers).toEqual(["daemon-1"]);
    expect(deletedWith).toBe("");
  });

  it("waits for a notebook through a lost connection, and does nothing else twice", async () => {
    const { resources } = await record();
    const again = (name: string) => /while :; do/.test(only(resources, COMMAND, name).inputs.create);
    expect(again("container1-ready")).toBe(true);
    expect(["ssh-root", "code-fastai-checkout", "data-pets-download"].filter(again)).toEqual([]);
  });

  it("keeps secrets where they are secret", async () => {
    const { resources, result } = await record();
    expect(resources.filter(({ secrets }) => secrets.length > 0).map(({ name }) => name)).toEqual([
      "container1-container",
    ]);
    expect(result.notebooks[0]?.url).toBe("http://127.0.0.1:8888/?token=container1-token-c0ffee");
  });

  it("tells the commands that work from here", async () => {
    const { result } = await record();
    expect(result.notebooks[0]?.shell).toMatch(
      /^ssh -t -l ada -p 2222 .* gpu\.example\.org 'docker exec -it container1 bash'$/,
    );
    expect(result.notebooks[0]?.logs).toMatch(/^ssh -l ada .*'docker logs -f container1'$/);
    expect(result.notebooks[0]?.shell).toContain(SSH.hostKey);
  });
});
