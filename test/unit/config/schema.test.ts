import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { CATALOGUE } from "../../../config/catalogue.ts";
import { parseConfig } from "../../../config/schema.ts";
import { UserError } from "../../../errors.ts";

const refusal = (raw: Record<string, unknown>): string => {
  try {
    parseConfig(raw, "dev");
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  throw new Error(`accepted: ${JSON.stringify(raw)}`);
};

const sha256 = "a".repeat(64);
const hostKey = `ssh-ed25519 AAAA${"C".repeat(64)}`;
const ssh = (keys: Record<string, unknown>) => ({
  host: { kind: "ssh", address: "gpu.example.org", ...keys },
});
const documentation = readFileSync(new URL("../../../docs/data.md", import.meta.url), "utf8");

describe("defaults", () => {
  it("give one notebook of the built image on the GPUs there are, on the loopback", () => {
    expect(parseConfig({}, "dev")).toEqual({
      host: { kind: "local" },
      root: "~/docker_mount",
      image: { target: "full", args: {} },
      code: [],
      data: [],
      connections: 16,
      notebooks: [
        {
          name: "container1",
          gpus: "auto",
          shareGpus: false,
          port: 8888,
          address: "127.0.0.1",
          shmSize: 8192,
          volumes: [],
          environment: {},
        },
      ],
    });
  });

  it("are what Pulumi.dev.yaml says", () => {
    const file = readFileSync(new URL("../../../Pulumi.dev.yaml", import.meta.url), "utf8");
    const keys = Object.entries(parse(file).config).map(([key, value]) => [
      key.replace("gpubox:", ""),
      value,
    ]);
    const said = Object.fromEntries(keys);
    expect(said.notebooks).toEqual([{ name: "container1", gpus: "auto", port: 8888 }]);
    expect(said.root).toBe("~/docker_mount");
    expect(parseConfig(said, "dev")).toEqual(parseConfig({}, "dev"));
  });

  it("leave a machine reached by SSH to the person's own ssh", () => {
    expect(parseConfig(ssh({}), "dev").host).toEqual({ kind: "ssh", address: "gpu.example.org" });
    const all = {
      address: "fd00::2",
      user: "ada",
      port: 2222,
      key: "~/.ssh/id",
      hostKey: `${hostKey} root@gpu`,
    };
    expect(parseConfig(ssh(all), "dev").host).toEqual({ kind: "ssh", ...all });
  });

  it("take slices of GPUs, by index and by UUID, on the port of their GPU", () => {
    const gpus = ["1:0", "MIG-1f2e-3", "MIG-GPU-1f2e-3/9/0"];
    const one = { notebooks: [{ name: "nb", gpus }] };
    expect(parseConfig(one, "dev").notebooks[0]).toMatchObject({ gpus, port: 8889 });
    const two = [["0:1"], ["0:10"]].map((each, index) => ({
      name: `nb${index}`,
      gpus: each,
      port: 9000 + index,
    }));
    expect(parseConfig({ notebooks: two }, "dev").notebooks).toHaveLength(2);
  });

  it("read a plain string as the image to pull", () => {
    expect(parseConfig({ image: "a/b:c" }, "dev").image).toEqual({ pull: "a/b:c", user: "host" });
  });

  it("object to a number once, however long it is", () => {
    const lines = refusal({ notebooks: [{ name: "nb", port: Number("9".repeat(20)) }] }).split("\n");
    expect(lines.filter((line) => line.includes("port"))).toHaveLength(1);
  });

  it.each([
    "debian",
    "debian:12-slim",
    "localhost:5000/a__b/c-d.e",
    "GHCR.io/ada/box:V1_2",
    "[::1]:5000/a",
    `nvcr.io/nvidia/pytorch:24.05-py3@sha256:${sha256}`,
  ])("take the image %s", (pull) => {
    expect(parseConfig({ image: pull }, "dev").image).toMatchObject({ pull });
  });

  it("name folders after the last part of the url", () => {
    const config = parseConfig(
      {
        code: [
          { url: "https://example.org/fastai/fastai.git", ref: "v1" },
          { url: "git@example.org:x", ref: "v1" },
        ],
        data: [
          { url: "http://example.org/data/dogscats.zip?x=1", sha256 },
          { url: "file:///srv/pets.tar.gz", sha256 },
          { url: "https://example.org/records/7/files/birds.zip/content", name: "all-birds.tbz2" },
        ],
      },
      "dev",
    );
    expect(config.code.map(({ folder }) => folder)).toEqual(["fastai", "x"]);
    expect(config.data.map(({ folder }) => folder)).toEqual(["dogscats", "pets", "all-birds"]);
  });

  it("take one url or mirrors, with or without a hash", () => {
    const { data } = parseConfig(
      {
        data: [
          { url: "http://x/a.zip" },
          { url: ["http://x/b.zip", "file:///b.zip"], sha256, size: 7, files: 2 },
        ],
      },
      "dev",
    );
    expect(data).toMatchObject([
      { url: ["http://x/a.zip"], keepArchive: false, purge: false },
      { url: ["http://x/b.zip", "file:///b.zip"], sha256, size: 7, files: 2, folder: "b" },
    ]);
  });

  it("know the sets of the catalogue by name", () => {
    const { data } = parseConfig({ data: ["pets", { set: "dogs", purge: true, sha256 }] }, "dev");
    expect(data).toMatchObject([
      {
        url: ["https://s3.amazonaws.com/fast-ai-imageclas/oxford-iiit-pet.tgz"],
        size: 811706944,
        headMd5: "e4db5c768afd933bb91f5f594d7417a4",
        folder: "oxford-iiit-pet",
        purge: false,
      },
      {
        url: ["https://s3.amazonaws.com/fast-ai-sample/dogscats.tgz"],
        folder: "dogscats",
        purge: true,
        sha256,
      },
    ]);
  });

  it.each([...CATALOGUE.keys()])("accept the catalogue's %s", (name) => {
    const [entry] = parseConfig({ data: [name] }, "dev").data;
    expect(entry?.url).toEqual([expect.stringMatching(/^https:\/\/[^ ]+\.(tgz|zip)$/)]);
    expect(entry?.headMd5).toMatch(/^[0-9a-f]{32}$/);
    expect(documentation).toContain(`| \`${name}\` | \`${entry?.folder}\` |`);
  });

  it("take memory in the units Docker uses", () => {
    const config = parseConfig({ notebooks: [{ name: "nb", shmSize: "512m", memory: "16G" }] }, "dev");
    expect(config.notebooks[0]).toMatchObject({ shmSize: 512, memory: 16384 });
  });
});

describe("refusals", () => {
  const notebook = (extra: object) => ({ notebooks: [{ name: "nb", ...extra }] });
  it.each<[string, Record<string, unknown>, string]>([
    [
      "a key with its letters swapped",
      { hots: {} },
      'gpubox:hots: there is no such key; did you mean "host"?',
    ],
    [
      "a key that belongs further inside",
      { port: 8888 },
      "gpubox:port: there is no such key here; there is gpubox:host.port or gpubox:notebooks[].port",
    ],
    [
      "a key like no other",
      { xyzzy: 1 },
      "gpubox:xyzzy: there is no such key; there is host, root, image, code, data, connections, notebooks",
    ],
    [
      "a key of another kind of host",
      { host: { kind: "ssh", address: "gpu", sshCidr: "mine" } },
      'gpubox:host.sshCidr: there is no such key with this kind of host, but with "aws"',
    ],
    [
      "a misspelt kind of host",
      { host: { kind: "asw" } },
      'gpubox:host.kind: must be "local", "ssh" or "aws" (found "asw"; did you mean "aws"?)',
    ],
    ["a key that is missing", { code: [{ ref: "v1" }] }, "gpubox:code[0].url: is missing: Git repository"],
    [
      "a number out of range",
      notebook({ port: 80 }),
      "gpubox:notebooks[0].port: must be from 1024 to 65535 (found 80)",
    ],
    ["an unknown key", { notebook: [] }, "gpubox:notebook: there is no such key"],
    ["an unknown key inside", notebook({ prot: 1 }), "gpubox:notebooks[0].prot: there is no such key"],
    ["an unknown key of the image", { image: { taget: "full" } }, "gpubox:image.taget: there is no such key"],
    [
      "an unknown target",
      { image: { target: "fulll" } },
      'gpubox:image.target: must be "full" or "lab" (found "fulll"; did you mean "full"?)',
    ],
    ["an image to pull that is no string", { image: { pull: 1 } }, "gpubox:image.pull: must be a text"],
    ["an image of another type", { image: 5 }, "gpubox:image: must be the reference of an image to pull"],
    [
      "an image's unknown user",
      { image: { pull: "x", user: "root" } },
      'gpubox:image.user: must be "host" or "image" (found "root")',
    ],
    [
      "an image to pull and build",
      { image: { pull: "x", target: "lab" } },
      "gpubox:image: cannot be pulled and built",
    ],
    [
      "a umask before an ENTRYPOINT that is not known",
      { image: { pull: "x", command: ["y"] }, notebooks: [{ name: "nb", umask: "002" }] },
      "gpubox:notebooks[0].umask: cannot be set for the ENTRYPOINT of a pulled image",
    ],
    [
      "packages of an image to pull",
      { image: { pull: "x", packages: ["timm"] } },
      "gpubox:image: cannot be pulled and built: leave out `pull`, or `target`, `args`, `packages`, `apt` and `requirements`",
    ],
    [
      "a package with an option",
      { image: { packages: ["timm", "--pre"] } },
      "gpubox:image.packages[1]: must be a requirement as pip reads it",
    ],
    [
      "a package with a password",
      { image: { packages: ["git+https://ada:secret@example.org/timm.git"] } },
      "gpubox:image.packages[0]: must not hold credentials",
    ],
    [
      "Debian packages in one text",
      { image: { apt: ["graphviz ffmpeg"] } },
      "gpubox:image.apt[0]: must be the name of a Debian package",
    ],
    [
      "a Debian package to remove",
      { image: { apt: ["python3-"] } },
      "gpubox:image.apt[0]: must be the name of a Debian package",
    ],
    [
      "an option for apt",
      { image: { apt: ["-oDPkg::Pre-Invoke::=reboot"] } },
      "gpubox:image.apt[0]: must be the name of a Debian package",
    ],
    [
      "a user of the image that is built",
      { image: { user: "host" } },
      "gpubox:image: takes `command`, `entrypoint` and `user` only with `pull`",
    ],
    ["a machine without an address", { host: { kind: "ssh" } }, "gpubox:host.address:"],
    [
      "an address with a user in it",
      ssh({ address: "ada@gpu" }),
      "gpubox:host.address: must be a name or an address",
    ],
    [
      "an address that is a url",
      ssh({ address: "ssh://gpu" }),
      "gpubox:host.address: must be a name or an address",
    ],
    ["an address that is an option", ssh({ address: "-oProxyCommand=x" }), "gpubox:host.address:"],
    ["a user that is an option", ssh({ user: "-l" }), "gpubox:host.user: must be the name of a user"],
    ["a port that is none", ssh({ port: 0 }), "gpubox:host.port:"],
    [
      "a relative key file",
      ssh({ key: "id_ed25519" }),
      "gpubox:host.key: must be absolute, or start with ~/",
    ],
    ["a key file with a variable in it", ssh({ key: "/keys/$USER" }), "gpubox:host.key: must not contain"],
    [
      "a private key for a host key",
      ssh({ hostKey: "-----BEGIN" }),
      "gpubox:host.hostKey: must be a public host key",
    ],
    [
      "a fingerprint for a host key",
      ssh({ hostKey: "SHA256:abc" }),
      "gpubox:host.hostKey: must be a public host key",
    ],
    [
      "a host key with more after it than a comment on its line",
      ssh({ hostKey: `${hostKey}\nx` }),
      "gpubox:host.hostKey: must be a public host key",
    ],
    ["two ways to know a machine", ssh({ hostKey, knownHosts: "~/hosts" }), "gpubox:host: takes either"],
    ["a password", ssh({ password: "secret" }), "gpubox:host.password: there is no such key"],
    [
      "a key of ssh for this machine",
      { host: { kind: "local", user: "ada" } },
      "gpubox:host.user: there is no such",
    ],
    ["an unknown host", { host: { kind: "moon" } }, "gpubox:host.kind:"],
    ["a relative root", { root: "mount" }, 'gpubox:root: must be absolute, or start with ~/ (found "mount")'],
    ["a root with ..", { root: "/srv/../etc" }, "gpubox:root: must not contain .."],
    ["no notebook", { notebooks: [] }, "gpubox:notebooks: must name at least one notebook"],
    ["a bad name", { notebooks: [{ name: "-x" }] }, "gpubox:notebooks[0].name: must be a container name"],
    [
      "a misspelt selection of GPUs",
      notebook({ gpus: "al" }),
      'gpubox:notebooks[0].gpus: must be "auto", "all", "none", or a list of GPU indices, slices or UUIDs (found "al"; did you mean "all"?)',
    ],
    ["an empty list of GPUs", notebook({ gpus: [] }), "gpubox:notebooks[0].gpus: must name a GPU"],
    ["a GPU named twice", notebook({ gpus: [1, 1] }), "gpubox:notebooks[0].gpus: must not name a GPU twice"],
    ["a negative GPU", notebook({ gpus: [-1] }), "gpubox:notebooks[0].gpus[0]:"],
    ["a privileged port", notebook({ port: 80 }), "gpubox:notebooks[0].port:"],
    [
      "an address that is a name",
      notebook({ address: "localhost" }),
      "gpubox:notebooks[0].address: must be an IPv4 address",
    ],
    [
      "memory without a unit",
      notebook({ shmSize: 8 }),
      'gpubox:notebooks[0].shmSize: must be an amount like "512m" or "8g" (found 8)',
    ],
    [
      "a relative volume",
      notebook({ volumes: [{ source: "x", target: "/x" }] }),
      "gpubox:notebooks[0].volumes[0].source: must be an absolute path",
    ],
    [
      "a volume over /code",
      notebook({ volumes: [{ source: "/x", target: "/code" }] }),
      "gpubox:notebooks[0].volumes[0].target: must not be one of",
    ],
    ...["/code/", "/data//.", "/code/.gpubox", "/data/x/../.gpubox/y"].map(
      (target): [string, Record<string, unknown>, string] => [
        `the container's ${target}`,
        notebook({ volumes: [{ source: "/x", target }] }),
        "gpubox:notebooks[0].volumes[0].target: must not be one of /, /code, /data, /code/.gpubox",
      ],
    ),
    [
      "a variable of ours",
      notebook({ environment: { JUPYTER_TOKEN: "t" } }),
      "gpubox:notebooks[0].environment.JUPYTER_TOKEN: is set by gpubox itself",
    ],
    [
      "a umask as a variable",
      notebook({ environment: { GPUBOX_UMASK: "002" } }),
      "gpubox:notebooks[0].environment.GPUBOX_UMASK: is set by gpubox itself",
    ],
    ...[2, "2", "702", "028", "u=rwx"].map((umask): [string, Record<string, unknown>, string] => [
      `the umask ${JSON.stringify(umask)}`,
      notebook({ umask }),
      'gpubox:notebooks[0].umask: must be three octal digits in quotes that begin with 0, like "002"',
    ]),
    [
      "a folder that leads out",
      { data: [{ url: "http://x/y.zip", sha256, folder: "../x" }] },
      "gpubox:data[0].folder: must be a relative path without ..",
    ],
    [
      "a short hash",
      { data: [{ url: "http://x/y.zip", sha256: "12" }] },
      "gpubox:data[0].sha256: must be the 64 hexadecimal digits",
    ],
    ["data from nowhere", { data: [{ sha256 }] }, "gpubox:data[0]: must have either `url` or `set`"],
    [
      "data from two places",
      { data: [{ url: "http://x/y.zip", set: "pets" }] },
      "gpubox:data[0]: must have either",
    ],
    ["data of another type", { data: [7] }, "gpubox:data[0]: must be a name of the catalogue"],

    [
      "a mirror that is no url",
      { data: [{ url: ["http://x/y.zip", "y.zip"], sha256 }] },
      'gpubox:data[0].url[1]: must be an http, https, file or s3 url (found "y.zip")',
    ],
    ["a negative size", { data: [{ url: "http://x/y.zip", size: -1 }] }, "gpubox:data[0].size:"],
    ["no files", { data: [{ url: "http://x/y.zip", files: 0 }] }, "gpubox:data[0].files:"],
    [
      "a name that is not in the catalogue",
      { data: ["petz"] },
      'gpubox:data[0]: must be a name of the catalogue (docs/data.md lists them), or an object (found "petz"; did you mean "pets"?)',
    ],
    [
      "a set that is not in the catalogue",
      { data: [{ set: "petz" }] },
      'gpubox:data[0].set: is not in the catalogue: docs/data.md lists the names (found "petz"; did you mean "pets"?)',
    ],
    [
      "a misspelt option of a set",
      { data: [{ set: "pets", keepArchiv: true }] },
      "gpubox:data[0].keepArchiv: there is no such key",
    ],
    [
      "a misspelt option of a file",
      { data: [{ url: "http://x/y.zip", sha: sha256 }] },
      "gpubox:data[0].sha: there is no such key",
    ],
    ["one set twice", { data: ["pets", "pets"] }, "gpubox:data[1]: wants folder oxford-iiit-pet"],
    ["no connections", { connections: 0 }, "gpubox:connections:"],
    [
      "a purge that is no yes or no",
      { code: [{ url: "https://x/y", ref: "a", purge: "yes" }] },
      "gpubox:code[0].purge:",
    ],
    ["code without a ref", { code: [{ url: "https://x/y" }] }, "gpubox:code[0].ref:"],
    [
      "a ref that git would take for an option",
      { code: [{ url: "https://x/y", ref: "--upload-pack=x" }] },
      "gpubox:code[0].ref:",
    ],
    [
      "two repositories in one folder",
      {
        code: [
          { url: "https://x/y", ref: "a" },
          { url: "https://z/y", ref: "a" },
        ],
      },
      "gpubox:code[1]: wants folder y",
    ],
    [
      "a folder inside another's",
      {
        data: [
          { url: "http://x/y.zip", sha256, folder: "a" },
          { url: "http://x/z.zip", sha256, folder: "a/b" },
        ],
      },
      "gpubox:data[1]: wants folder a/b",
    ],
    [
      "one name twice",
      {
        notebooks: [
          { name: "nb", gpus: [0] },
          { name: "nb", gpus: [1] },
        ],
      },
      "gpubox:notebooks[1]: has the name nb of another notebook",
    ],
    [
      "one port twice",
      {
        notebooks: [
          { name: "nb", gpus: [0], port: 9000 },
          { name: "nb2", gpus: [1], port: 9000 },
        ],
      },
      "gpubox:notebooks[1]: wants port 9000, as nb does",
    ],
    [
      "one GPU twice",
      {
        notebooks: [
          { name: "nb", gpus: [0, 1] },
          { name: "nb2", gpus: [1] },
        ],
      },
      "gpubox:notebooks[1]: wants a GPU that nb may use",
    ],
    [
      "every GPU and one of them",
      {
        notebooks: [
          { name: "nb", gpus: "all" },
          { name: "nb2", gpus: [1] },
        ],
      },
      "gpubox:notebooks[1]: wants a GPU that nb may use",
    ],
    [
      "a url that gives its folder no name",
      { data: [{ url: "https://example.org/..", sha256 }] },
      "gpubox:data[0].folder: is needed, because the url does not end in a usable name",
    ],
    [
      "a file whose name cannot be a folder's",
      { data: [{ url: "https://example.org/get", name: "all birds.zip" }] },
      "gpubox:data[0].folder: is needed, because `name` is not usable as one",
    ],
    ...["a/b.zip", "..\\b.zip", "a\nb.zip"].map((name): [string, Record<string, unknown>, string] => [
      "a name that is a path, or would break a line",
      { data: [{ url: "https://example.org/get", name }] },
      "gpubox:data[0].name: must be the name of a file, without a path",
    ]),
    [
      "a name that no file of a data set can have",
      { data: [{ url: "https://example.org/get", name: ".." }] },
      "gpubox:data[0].name: cannot be the name of the file",
    ],
    [
      "a root that Docker's volumes cannot carry",
      { root: "/srv/a:b" },
      'gpubox:root: must not contain a colon, which Docker takes as the separator (found "/srv/a:b")',
    ],
    [
      "all of the machine for its root",
      { root: "/" },
      "gpubox:root: must be a folder, not the whole file system",
    ],
    ["the same in other words", { root: "/./" }, "gpubox:root: must be a folder, not the whole file system"],
    [
      "a volume of two lines",
      { notebooks: [{ name: "nb", volumes: [{ source: "/a\nb", target: "/x\u001b" }] }] },
      'gpubox:notebooks[0].volumes[0].source: must not contain a line break or another control character (found "/a\\nb")',
    ],
    [
      "control characters of the other kind",
      { root: "/a\u009b31m" },
      'gpubox:root: must not contain a line break or another control character (found "/a\\u009b31m")',
    ],
    ["an image in capitals", { image: "Foo Bar" }, "gpubox:image: must be the reference of an image"],
    ["a tag alone", { image: { pull: ":tag" } }, "gpubox:image.pull: must be the reference of an image"],
    ["an image with a protocol", { image: "https://ghcr.io/a/b" }, "gpubox:image: must be the reference"],
    ["no image", { image: "" }, "gpubox:image: must not be empty"],
    ["a root of two lines", { root: "/srv\n/x" }, "gpubox:root: must not contain a line break"],
    [
      "a folder that Docker's volumes cannot carry",
      notebook({ volumes: [{ source: "/a:b", target: "/c:ro" }] }),
      "gpubox:notebooks[0].volumes[0].target: must not contain a colon",
    ],
    [
      "a name that is too long for a host name",
      { notebooks: [{ name: "n".repeat(64) }] },
      "gpubox:notebooks[0].name: must have 2 to 63 characters",
    ],
    [
      "a name that is too short for Docker",
      { notebooks: [{ name: "n" }] },
      "gpubox:notebooks[0].name: must have 2 to 63 characters",
    ],
    [
      "a name with a blank",
      { notebooks: [{ name: "my notebook" }] },
      "gpubox:notebooks[0].name: must be a container name: a letter or a digit, then letters, digits, _ . -",
    ],
    [
      "a ref with a blank",
      { code: [{ url: "https://x/y", ref: "my branch" }] },
      'gpubox:code[0].ref: must be a commit, a tag or a branch: a letter or a digit, then letters, digits, . _ / - (found "my branch")',
    ],
    [
      "a ref that YAML takes for a number",
      { code: [{ url: "https://x/y", ref: 1.1 }] },
      'gpubox:code[0].ref: must be a text: write it in quotes, as in "1.10" (found 1.1)',
    ],
    ["half a slice", notebook({ gpus: ["0:"] }), 'must be an index, a slice as in "0:1", or a UUID'],
    [
      "one slice twice",
      {
        notebooks: [
          { name: "n1", gpus: ["0:1"] },
          { name: "n2", gpus: ["0:0", "0:1"], port: 9000 },
        ],
      },
      "gpubox:notebooks[1]: wants a GPU that n1 may use",
    ],
    [
      "a slice of a GPU that another has whole",
      {
        notebooks: [
          { name: "n1", gpus: [1] },
          { name: "n2", gpus: ["1:1"], port: 9000 },
        ],
      },
      "gpubox:notebooks[1]: wants a GPU that n1 may use",
    ],
    [
      "a slice by its UUID twice",
      {
        notebooks: [
          { name: "n1", gpus: ["MIG-ab"] },
          { name: "n2", gpus: ["mig-AB"], port: 9000 },
        ],
      },
      "gpubox:notebooks[1]: wants a GPU that n1 may use",
    ],
    [
      "an entrypoint of an image that is built",
      { image: { entrypoint: ["x"] } },
      "`entrypoint` and `user` only with",
    ],
    ["an empty word", { image: { pull: "x", command: [""] } }, "gpubox:image.command[0]: must not be empty"],
    ["an empty command", { image: { pull: "x", command: [] } }, "gpubox:image.command: must not be empty"],
    ["an empty image", { image: { pull: "" } }, "gpubox:image.pull: must not be empty"],
  ])("%s", (_what, raw, message) => {
    expect(refusal(raw)).toContain(message);
  });

  it("a name of 63 characters is not", () => {
    expect(parseConfig({ notebooks: [{ name: "n".repeat(63) }] }, "dev").notebooks).toHaveLength(1);
  });

  it("come all at once, and say where to mend them", () => {
    const message = refusal({ root: "x", notebooks: [{ name: "-", port: 1 }] });
    expect(message).toContain("has 3 problems; nothing was created");
    expect(message).toContain("gpubox:root");
    expect(message).toContain("gpubox:notebooks[0].name");
    expect(message).toContain("gpubox:notebooks[0].port");
    expect(message).toContain("Pulumi.dev.yaml");
  });

  it("never show a secret", () => {
    const message = refusal({
      code: [{ url: "https://me:canary@example.org/x", ref: "a" }],
      data: [
        { url: "https://me:canary@example.org/x.zip" },
        { url: ["https://me:canary@example.org/y.zip"] },
      ],
      notebooks: [{ name: "nb", environment: { "not a name": "canary" } }],
    });
    expect(message).not.toContain("canary");
  });
});

describe("two notebooks", () => {
  it("may share GPUs when both say so", () => {
    const nb = (name: string, port: number) => ({ name, port, gpus: "all", shareGpus: true });
    expect(parseConfig({ notebooks: [nb("nb", 8888), nb("nb2", 8889)] }, "dev").notebooks).toHaveLength(2);
    const one = { ...nb("nb2", 8889), shareGpus: false };
    expect(refusal({ notebooks: [nb("nb", 8888), one] })).toContain("wants a GPU");
  });

  it("never share a port, a name or (unasked) a GPU once they are accepted", () => {
    const notebook = fc.record({
      name: fc.constantFrom("nb0", "nb1", "nb2", "nb3"),
      gpus: fc.oneof(
        fc.constantFrom("none", "all", "auto"),
        fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }),
      ),
    });
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(notebook, { minLength: 1, maxLength: 3 }), (notebooks) => {
        let config: ReturnType<typeof parseConfig>;
        try {
          config = parseConfig({ notebooks }, "dev");
        } catch {
          return;
        }
        accepted++;
        const all = config.notebooks;
        expect(new Set(all.map(({ port }) => port)).size).toBe(all.length);
        expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
        const listed = all.flatMap(({ gpus }) => (Array.isArray(gpus) ? gpus : []));
        expect(new Set(listed).size).toBe(listed.length);
        for (const { gpus, port } of all) {
          expect(port).toBe(8888 + (Array.isArray(gpus) ? (gpus[0] as number) : 0));
        }
      }),
    );
    expect(accepted).toBeGreaterThan(0);
  });
});

it("refuses or accepts any value without another kind of error", () => {
  fc.assert(
    fc.property(
      fc.record(
        {
          root: fc.anything(),
          image: fc.anything(),
          code: fc.anything(),
          data: fc.anything(),
          notebooks: fc.anything(),
          host: fc.anything(),
        },
        { requiredKeys: [] },
      ),
      (raw) => {
        try {
          parseConfig(raw, "dev");
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      },
    ),
  );
});
