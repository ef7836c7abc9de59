import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { constants, unappliedLabel } from "../../../components/workspace/container.ts";
import { mountsOf } from "../../../components/workspace/notebook.ts";
import { type NotebookConfig, parseConfig } from "../../../config/schema.ts";
import type { RunsAs } from "../../../machine/inspection.ts";
import { only, type Recorded } from "../../support/recorder.ts";
import { recordStack, TWO_GPUS } from "../../support/stack.ts";

const CONTAINER = "docker:index/container:Container";
const COMMAND = "command:local:Command";
const STACK_LABEL = { label: "gpubox.stack", value: "gpubox/dev" };
const sha256 = "a".repeat(64);

const notebooks = (...entries: object[]) => ({ notebooks: entries });
const containerOf = async (raw: Record<string, unknown>, gpus?: typeof TWO_GPUS) =>
  only((await recordStack(raw, gpus)).resources, CONTAINER);

describe("the tree", () => {
  it("has every component under the workspace and every part under its component", async () => {
    const { resources } = await recordStack({
      code: [{ url: "https://example.org/fastai.git", ref: "v1" }],
      data: [{ url: "https://example.org/pets.zip", sha256 }],
    });
    expect(resources.map(({ type, name, parent }) => `${parent ?? ""} > ${name} ${type}`).sort()).toEqual([
      " > local gpubox:host:LocalHost",
      " > workspace gpubox:workspace:Workspace",
      `code-fastai > code-fastai-checkout ${COMMAND}`,
      `code-fastai > code-fastai-retire ${COMMAND}`,
      `container1 > container1-container ${CONTAINER}`,
      `container1 > container1-folders ${COMMAND}`,
      `container1 > container1-gpu ${COMMAND}`,
      "container1 > container1-home docker:index/volume:Volume",
      `container1 > container1-home-removal ${COMMAND}`,
      `container1 > container1-packages ${COMMAND}`,
      `container1 > container1-ready ${COMMAND}`,
      "container1 > container1-token random:index/randomPassword:RandomPassword",
      `data-pets > data-pets-download ${COMMAND}`,
      `data-pets > data-pets-retire ${COMMAND}`,
      "image > image-build docker:index/image:Image",
      "local > local-docker pulumi:providers:docker",
      "local > local-owner random:index/randomPassword:RandomPassword",
      `local > local-root ${COMMAND}`,
      "workspace > code-fastai gpubox:workspace:CodeRepository",
      "workspace > container1 gpubox:workspace:Notebook",
      "workspace > data-pets gpubox:workspace:Dataset",
      "workspace > image gpubox:workspace:NotebookImage",
      "workspace > network docker:index/network:Network",
    ]);
  });

  it("puts every Docker resource on the host's own provider", async () => {
    const { resources } = await recordStack({});
    const onDaemon = resources.filter(({ type }) => type.startsWith("docker:"));
    expect(onDaemon).toHaveLength(4);
    for (const { provider } of onDaemon) expect(provider).toContain("local-docker");
  });

  it("labels every container, network and volume with the stack", async () => {
    const { resources } = await recordStack({});
    const labelled = resources.filter(({ type }) => /:(Container|Network|Volume)$/.test(type));
    expect(labelled).toHaveLength(3);
    for (const { inputs } of labelled) expect(inputs.labels).toContainEqual(STACK_LABEL);
  });
});

describe("a notebook's container", () => {
  it("is the seed's docker run, and safer", async () => {
    const { inputs } = await containerOf({});
    expect(inputs).toMatchObject({
      name: "container1",
      init: true,
      user: "1000:1000",
      workingDir: "/code",
      restart: "unless-stopped",
      shmSize: 8192,
      ports: [{ internal: 8888, external: 8888, ip: "127.0.0.1", protocol: "tcp" }],
      capabilities: { drops: ["ALL"] },
      securityOpts: ["no-new-privileges:true"],
      destroyGraceSeconds: 20,
      networksAdvanced: [{ name: "gpubox-dev" }],
    });
    // Folders of the host are never volumes, for which Docker makes what is not there.
    expect(inputs.mounts).toEqual([
      { type: "bind", source: "/home/ada/docker_mount/code", target: "/code" },
      { type: "bind", source: "/home/ada/docker_mount/data", target: "/data" },
    ]);
    expect(inputs.volumes).toEqual([
      { volumeName: "gpubox-dev-container1-home", containerPath: "/home/jupyter" },
    ]);
    expect(inputs.tmpfs).toEqual({
      "/code/.gpubox": "ro,size=4k,mode=0555",
      "/data/.gpubox": "ro,size=4k,mode=0555",
    });
    expect(inputs.healthcheck.tests[1]).toContain("/api");
    expect(inputs.command).toBeUndefined();
  });

  it("gets its token as a secret, and only there", async () => {
    const { resources, result } = await recordStack({});
    const container = only(resources, CONTAINER);
    expect(container.secrets).toEqual(["envs"]);
    expect(container.inputs.envs).toContain("JUPYTER_TOKEN=container1-token-c0ffee");
    expect(result.notebooks[0]?.url).toBe("http://127.0.0.1:8888/?token=container1-token-c0ffee");
    const elsewhere = resources.filter((resource) => resource !== container);
    expect(JSON.stringify(elsewhere)).not.toContain("container1-token-c0ffee");
  });

  it("takes the name and the port over from the one it replaces", async () => {
    expect((await containerOf({})).deleteBeforeReplace).toBe(true);
  });

  it("carries what the configuration adds", async () => {
    const { inputs } = await containerOf(
      notebooks({
        name: "nb",
        port: 9000,
        address: "0.0.0.0",
        memory: "2g",
        shmSize: "64m",
        volumes: [{ source: "/srv/models", target: "/models", readOnly: true }],
        environment: { COLOUR: "blue" },
      }),
    );
    expect(inputs).toMatchObject({ memory: 2048, memorySwap: 2048, shmSize: 64 });
    expect(inputs.ports).toEqual([{ internal: 9000, external: 9000, ip: "0.0.0.0", protocol: "tcp" }]);
    expect(inputs.mounts).toContainEqual({
      type: "bind",
      source: "/srv/models",
      target: "/models",
      readOnly: true,
    });
    expect(inputs.envs).toEqual(expect.arrayContaining(["COLOUR=blue", "JUPYTER_PORT=9000"]));
  });

  it("is replaced where the daemon would not take a change, and else keeps running", async () => {
    const label = async (notebook: object, more: object = {}) => {
      const { inputs } = await containerOf({ ...notebooks({ name: "nb", ...notebook }), ...more });
      return inputs.labels.find((each: { label: string }) => each.label === "gpubox.unapplied").value;
    };
    const volumes = [{ source: "/srv/models", target: "/models" }];
    const plain = await label({});
    expect(await label({ memory: "2g" })).not.toBe(plain);
    expect(await label({ volumes })).not.toBe(plain);
    expect(await label({ volumes: [{ ...volumes[0], readOnly: true }] })).not.toBe(await label({ volumes }));
    expect(await label({ memory: "3g" }), "a limit can be changed").toBe(await label({ memory: "2g" }));
    expect(await label({ environment: { COLOUR: "blue" } }), "replaced for that itself").toBe(plain);
  });

  it("is not given again what it has of the root, wherever that turns out to be", () => {
    const given = (source: string) => {
      const volumes = [{ source, target: "/x" }];
      const [notebook] = parseConfig(notebooks({ name: "nb", volumes }), "dev").notebooks;
      return () => mountsOf(notebook as NotebookConfig, "/srv/box", "/home/ada");
    };
    expect(given("/srv/box/code/x")).toThrow(
      "a volume of nb: /srv/box/code/x is already in every notebook, as /code/x: leave it out",
    );
    expect(given("/srv/box/models")()).toHaveLength(3);
  });

  it("warns when it listens beyond the loopback, and is asked at an address that answers", async () => {
    const { warnings, resources, result } = await recordStack(notebooks({ name: "nb", address: "0.0.0.0" }));
    expect(warnings.join()).toContain("nb listens on 0.0.0.0");
    expect(only(resources, COMMAND, "nb-ready").inputs.environment.URL).toBe("http://127.0.0.1:8888");
    expect(result.notebooks[0]?.url).toMatch(/^http:\/\/127\.0\.0\.1:8888\//);
    expect((await recordStack({})).warnings.join()).not.toContain("listens on");
  });

  it("warns of what a volume gives away, on every kind of host, and of no other", async () => {
    const volumes = ["/var/run/docker.sock", "/srv/people", "/srv/models"].map((source, index) => ({
      source,
      target: `/mnt/${index}`,
    }));
    for (const kind of ["local", "ssh"]) {
      const { warnings } = await recordStack(notebooks({ name: "nb", volumes }), undefined, kind);
      const about = warnings.filter((warning) => warning.includes("any code that runs in nb"));
      expect(about).toEqual([
        expect.stringMatching(
          /^\/var\/run\/docker\.sock gives .* the socket of Docker, and so root's rights/,
        ),
        expect.stringMatching(/^\/srv\/people gives .* all in your home, to read and to change/),
      ]);
    }
  });

  it("is another one when what it does not see changes, which the provider would not apply", () => {
    const { value } = unappliedLabel([], {});
    expect(unappliedLabel([], {}, { ...constants, tmpfs: {} }).value).not.toBe(value);
    expect(unappliedLabel([], {}, { ...constants }).value).toBe(value);
  });

  it("runs as the person in their groups, and where ids are not theirs, with theirs", async () => {
    const inputs = async (runsAs: RunsAs, raw: object = {}) =>
      only((await recordStack({ ...raw }, undefined, "local", { runsAs })).resources, CONTAINER).inputs;
    const shared = await inputs({ user: "1000:1000", groups: ["100", "4000"] });
    expect(shared).toMatchObject({ user: "1000:1000", groupAdds: ["100", "4000"] });
    expect(await inputs({ user: "0:0", groups: [] })).toMatchObject({
      user: "0:0",
      capabilities: { drops: ["ALL"] },
      securityOpts: ["no-new-privileges:true"],
    });
    const remapped: RunsAs = { user: "1000:1000", groups: ["4000"], usernsMode: "host" };
    expect(await inputs(remapped)).toMatchObject({ usernsMode: "host", capabilities: { drops: ["ALL"] } });
    // Its own user may be root: that one stays apart from the host's.
    const own = await inputs(remapped, { image: { pull: "example.org/nb:1", user: "image" } });
    expect([own.user, own.groupAdds, own.usernsMode]).toEqual([undefined, undefined, undefined]);
    // Whoever has none of it has the container of before.
    const plain = await inputs({ user: "1000:1000", groups: [] });
    expect(Object.keys(plain)).not.toEqual(expect.arrayContaining(["groupAdds"]));
    expect(Object.keys(plain)).not.toEqual(expect.arrayContaining(["usernsMode"]));
  });

  it("has the umask that was asked for, in an image that knows nothing of it as well", async () => {
    const envs = (inputs: Recorded["inputs"]) =>
      (inputs.envs as string[]).filter((each) => each.startsWith("GPUBOX_"));
    const own = await containerOf(notebooks({ name: "nb", umask: "002" }));
    expect([envs(own.inputs), own.inputs.command]).toEqual([["GPUBOX_UMASK=002"], undefined]);
    expect(envs((await containerOf({})).inputs)).toEqual([]);
    const image = { pull: "example.org/nb:1", entrypoint: ["start.sh", "a b"], command: ["c"] };
    const pulled = await containerOf({ image, ...notebooks({ name: "nb", umask: "002" }) });
    const [file, ...words] = pulled.inputs.entrypoints as [string, ...string[]];
    const started = execFileSync(file, [...words.slice(0, 3), "sh", "-c", "umask"]);
    expect(started.toString()).toBe("0002\n");
    expect([...words.slice(3), pulled.inputs.command]).toEqual([...image.entrypoint, image.command]);
    expect((await containerOf({ image })).inputs).toMatchObject({
      entrypoints: image.entrypoint,
      command: image.command,
    });
  });

  it("is tried whether it can write, where it must and where it may", async () => {
    const volumes = [
      { source: "/srv/models", target: "/models" },
      { source: "/srv/sets", target: "/sets", readOnly: true },
    ];
    const tried = async (raw: object) => {
      const { resources } = await recordStack({ ...raw, ...notebooks({ name: "nb", volumes }) });
      const { inputs, dependsOn } = only(resources, COMMAND, "nb-folders");
      expect(inputs.triggers).toEqual(["daemon-1", "nb-container-id"]);
      expect(dependsOn).toContain("nb-ready");
      return [inputs.environment.CONTAINER, inputs.environment.FOLDERS, inputs.environment.VOLUMES];
    };
    expect(await tried({})).toEqual(["nb", "/code\n/data\n/home/jupyter", "/models"]);
    expect(await tried({ image: "example.org/nb:1" })).toEqual(await tried({}));
    const image = { pull: "example.org/nb:1", user: "image" };
    expect(await tried({ image }), "its home is its own").toEqual(["nb", "/code\n/data", "/models"]);
  });

  it("is waited for again whenever it is another one", async () => {
    const { resources } = await recordStack({});
    const ready = only(resources, COMMAND, "container1-ready");
    expect(ready.inputs.triggers).toEqual(["daemon-1", "container1-container-id"]);
  });

  it("has its packages looked over whenever it is another one, but for an image that we know nothing of", async () => {
    const { resources } = await recordStack({});
    const { inputs } = only(resources, COMMAND, "container1-packages");
    expect(inputs.triggers).toEqual(["daemon-1", "container1-container-id"]);
    expect(inputs.environment).toMatchObject({ COMMAND: "docker exec container1", CONTAINER: "container1" });
    const pulled = await recordStack({ image: "example.org/other:1" });
    expect(pulled.resources.filter(({ name }) => name === "container1-packages")).toEqual([]);
  });
});

describe("GPUs", () => {
  const request = async (gpus: unknown, inventory?: typeof TWO_GPUS) => {
    const { inputs } = await containerOf(notebooks({ name: "nb", gpus }), inventory);
    return { gpus: inputs.gpus, deviceRequests: inputs.deviceRequests, envs: inputs.envs as string[] };
  };

  it("are requested in the form the provider takes", async () => {
    expect(await request("all", TWO_GPUS)).toMatchObject({ gpus: "all", deviceRequests: undefined });
    expect(await request([1], TWO_GPUS)).toMatchObject({ gpus: "device=1", deviceRequests: undefined });
    expect(await request([0, 1], TWO_GPUS)).toMatchObject({
      gpus: undefined,
      deviceRequests: [{ driver: "nvidia", deviceIds: ["0", "1"], capabilities: ["gpu"] }],
    });
  });

  it("are kept from a notebook on the CPU, and only from that one", async () => {
    expect((await request("none", TWO_GPUS)).envs).toContain("NVIDIA_VISIBLE_DEVICES=void");
    expect((await request("all", TWO_GPUS)).envs.join()).not.toContain("NVIDIA_VISIBLE_DEVICES");
  });

  it("that are missing are said loudly, and shown among the outputs", async () => {
    const { warnings, result } = await recordStack({});
    expect(warnings).toContain("container1 runs on the CPU: no NVIDIA driver on this host");
    expect(result.accelerator).toBe("CPU (no NVIDIA driver on this host)");
    const gpu = await recordStack({}, TWO_GPUS);
    expect(gpu.warnings).toEqual([]);
    expect(gpu.result.accelerator).toBe("GPU 0 (NVIDIA L4), GPU 1 (NVIDIA L4)");
  });
});

describe("the image", () => {
  it("is built from docker/, for the daemon's platform, and followed by its id", async () => {
    const { resources, result } = await recordStack({ image: { target: "lab", args: { BASE: "x" } } });
    expect(only(resources, "docker:index/image:Image").inputs).toMatchObject({
      imageName: "gpubox-dev",
      skipPush: true,
      build: { context: "../docker", target: "lab", args: { BASE: "x" }, platform: "linux/amd64" },
    });
    expect(only(resources, CONTAINER).inputs.image).toBe("sha256:built");
    expect(result.image).toBe("gpubox-dev");
  });

  it("or pulled, kept, and started by a command that finds its Jupyter", async () => {
    const { resources, result } = await recordStack({ image: "streaminterrupt/fastai:cuda9" });
    expect(only(resources, "docker:index/remoteImage:RemoteImage").inputs).toMatchObject({
      name: "streaminterrupt/fastai:cuda9",
      keepLocally: true,
    });
    const { inputs } = only(resources, CONTAINER);
    expect(inputs.image).toBe("sha256:pulled");
    expect(inputs.entrypoints.join(" ")).toContain("source activate fastai");
    expect(inputs.command).toBeUndefined();
    expect(result.image).toBe("streaminterrupt/fastai:cuda9");
  });

  it("that is pulled has the notebook's home, which is made the person's before it is used", async () => {
    const runsAs: RunsAs = { user: "1000:1001", groups: [] };
    const { resources } = await recordStack({ image: "x" }, undefined, "local", { runsAs });
    const container = only(resources, CONTAINER);
    expect(container.inputs.envs).toContain("HOME=/home/jupyter");
    expect(container.inputs.volumes).toEqual([
      { volumeName: "gpubox-dev-container1-home", containerPath: "/home/jupyter" },
    ]);
    const owner = only(resources, COMMAND, "container1-home-owner");
    expect(owner.inputs.environment).toEqual({
      VOLUME: "gpubox-dev-container1-home",
      HOME_IN: "/home/jupyter",
      IMAGE: "sha256:pulled",
      RUNS_AS: "1000:1001",
      USERNS: "",
      OWNER: "local-owner-c0ffee",
      STACK: "gpubox/dev",
    });
    expect(container.dependsOn).toContain("container1-home-owner");
    for (const apart of [
      { user: "0:0", groups: [] },
      { ...runsAs, usernsMode: "host" },
    ] satisfies RunsAs[]) {
      const kept = await recordStack({ image: "x" }, undefined, "local", { runsAs: apart });
      expect(only(kept.resources, COMMAND, "container1-home-owner").inputs.environment).toMatchObject({
        RUNS_AS: apart.user,
        USERNS: "usernsMode" in apart ? "host" : "",
      });
    }
    const own = await recordStack({ image: { pull: "x", user: "image" } });
    expect(only(own.resources, CONTAINER).inputs.envs.join()).not.toContain("HOME=");
    expect(own.resources.map(({ name }) => name).filter((name) => name.includes("home"))).toEqual([]);
  });

  it("that is pulled is started as the configuration says, else without its ENTRYPOINT", async () => {
    const started = async (more: object) => {
      const { entrypoints, command } = (await containerOf({ image: { pull: "x", ...more } })).inputs;
      return { entrypoints, command };
    };
    const command = ["jupyter", "lab"];
    const entrypoint = ["tini", "--"];
    expect(await started({ command })).toEqual({ command });
    expect(await started({ entrypoint })).toEqual({ entrypoints: entrypoint });
    expect(await started({ entrypoint, command })).toEqual({ entrypoints: entrypoint, command });
  });

  it("runs as its own user only when asked", async () => {
    const as = async (user?: string) =>
      (await containerOf({ image: { pull: "x", ...(user && { user }) } })).inputs;
    expect(await as()).toMatchObject({ user: "1000:1000", capabilities: { drops: ["ALL"] } });
    const own = await as("image");
    expect(own.user).toBeUndefined();
    expect(own.securityOpts).toEqual(["no-new-privileges:true"]);
  });
});

describe("code and data", () => {
  it("are put on the host by its scripts, beside the image", async () => {
    const { resources } = await recordStack({
      code: [{ url: "https://example.org/fastai.git", ref: "v1" }],
      data: [{ url: "https://example.org/pets.zip", sha256, folder: "cats" }],
    });
    const checkout = only(resources, COMMAND, "code-fastai-checkout");
    expect(checkout.inputs.environment).toEqual({
      ROOT: "/home/ada/docker_mount",
      URL: "https://example.org/fastai.git",
      REF: "v1",
      FOLDER: "fastai",
    });
    const download = only(resources, COMMAND, "data-cats-download");
    expect(download.inputs.environment).toEqual({
      ROOT: "/home/ada/docker_mount",
      URLS: "https://example.org/pets.zip",
      SHA256: sha256,
      FOLDER: "cats",
      CONNECTIONS: "16",
    });
    const waitsFor = (resource: Recorded) => resource.dependsOn;
    expect(waitsFor(checkout)).toEqual(["local-root"]);
    expect(waitsFor(download)).toEqual(["local-root"]);
    expect(waitsFor(only(resources, "docker:index/image:Image"))).toEqual([]);
  });

  it("pass every option on to the scripts, and leave out what is not set", async () => {
    const { resources } = await recordStack({
      code: [{ url: "https://example.org/a.git", ref: "main", shallow: false, submodules: true, lfs: true }],
      data: [
        "mnist_tiny",
        {
          url: ["https://example.org/b.zip", "https://example.com/b.zip"],
          size: 7,
          files: 2,
          name: "b.zip",
          keepArchive: true,
        },
      ],
      connections: 4,
    });
    const environment = (name: string) => only(resources, COMMAND, name).inputs.environment;
    expect(environment("code-a-checkout")).toMatchObject({ SHALLOW: "0", SUBMODULES: "1", LFS: "1" });
    expect(environment("data-mnist_tiny-download")).toEqual({
      ROOT: "/home/ada/docker_mount",
      URLS: "https://s3.amazonaws.com/fast-ai-sample/mnist_tiny.tgz",
      FOLDER: "mnist_tiny",
      SIZE: "342207",
      HEAD_MD5: "56143e8f24db90d925d82a5a74141875",
      CONNECTIONS: "4",
    });
    expect(environment("data-b-download")).toEqual({
      ROOT: "/home/ada/docker_mount",
      URLS: "https://example.org/b.zip\nhttps://example.com/b.zip",
      FOLDER: "b",
      SIZE: "7",
      FILES: "2",
      NAME: "b.zip",
      KEEP_ARCHIVE: "1",
      CONNECTIONS: "4",
    });
  });

  it("are put there with the image's Python, and wait for it, only where the host has none", async () => {
    const raw = {
      image: { target: "lab" },
      code: [{ url: "https://example.org/fastai.git", ref: "v1" }],
      data: [{ url: "https://example.org/pets.zip", sha256 }],
    };
    const entries = /^(code|data)-.*-(checkout|download|retire)$/;
    for (const kind of ["local", "ssh"]) {
      const without = await recordStack(raw, undefined, kind, { hasPython: false });
      const found = without.resources.filter(({ name }) => entries.test(name));
      expect(found).toHaveLength(4);
      for (const { inputs, dependsOn } of found) {
        if (kind === "local") expect(inputs.environment.IMAGE).toBe("gpubox-dev");
        else expect(inputs.stdin).toContain("export IMAGE=gpubox-dev\n");
        expect(dependsOn).toContain("image-build");
      }
      const having = await recordStack(raw, undefined, kind);
      for (const { inputs, dependsOn } of having.resources.filter(({ name }) => entries.test(name))) {
        expect(inputs.environment ?? {}).not.toHaveProperty("IMAGE");
        expect(inputs.stdin).not.toContain("export IMAGE");
        expect(dependsOn).not.toContain("image-build");
      }
    }
  });

  it("are left alone by destroy, unless the entry says otherwise", async () => {
    const { resources } = await recordStack({
      code: [{ url: "https://example.org/fastai.git", ref: "v1" }],
      data: [{ url: "https://example.org/pets.zip", sha256, purge: true }],
    });
    const onDelete = resources.filter(({ inputs }) => inputs.delete !== undefined);
    expect(onDelete.map(({ name, inputs }) => [name, inputs.environment])).toEqual([
      [
        "container1-home-removal",
        { VOLUME: "gpubox-dev-container1-home", OWNER: "local-owner-c0ffee", DAEMON: "daemon-1" },
      ],
      ["code-fastai-retire", { ROOT: "/home/ada/docker_mount", KIND: "code", FOLDER: "fastai", PURGE: "" }],
      ["data-pets-retire", { ROOT: "/home/ada/docker_mount", KIND: "data", FOLDER: "pets", PURGE: "1" }],
    ]);
    for (const { inputs } of onDelete) {
      expect(inputs.delete).toMatch(/retire\.py|remove-volume\.sh/);
      // Whatever replaces a resource deletes it, and would take the files along.
      expect(inputs.triggers).toBeUndefined();
      expect(inputs.create).toBeUndefined();
    }
  });
});
