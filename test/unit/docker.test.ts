import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { inflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "../../config/schema.ts";
import { contextDigest } from "../../machine/docker/build-context.ts";

const docker = fileURLToPath(new URL("../../docker/", import.meta.url));
const read = (name: string) => readFileSync(join(docker, name), "utf8");
const instructions = read("Dockerfile")
  .replaceAll("\\\n", " ")
  .split("\n")
  .filter((line) => /^[A-Z]+ /.test(line));

describe("Dockerfile", () => {
  it("names no frontend, which BuildKit would fetch from a registry", () => {
    expect(read("Dockerfile")).not.toMatch(/^#\s*syntax\s*=/im);
  });

  it("comes from a registry in one place only: the base image", () => {
    const stages: string[] = [];
    for (const line of instructions.filter((line) => line.startsWith("FROM "))) {
      const [, source, , name] = line.split(/\s+/);
      if (source !== ["$", "{BASE}"].join("")) expect(stages).toContain(source);
      stages.push(name ?? "");
    }
    const copied = instructions.flatMap((line) =>
      [...line.matchAll(/\bfrom=([\w-]+)/g)].map((match) => match[1]),
    );
    expect(copied.length).toBeGreaterThan(0);
    for (const stage of copied) expect(stages).toContain(stage);
    expect(stages).toContain("lab");
    expect(stages.at(-1)).toBe("full");
  });

  it("copies our own files after every package, so that a changed notebook rebuilds in seconds", () => {
    for (const target of ["lab", "full"]) {
      const start = instructions.findIndex((line) => line.endsWith(` AS ${target}`));
      const rest = instructions.slice(start + 1);
      const end = rest.findIndex((line) => line.startsWith("FROM "));
      expect(rest.slice(0, end < 0 ? undefined : end)).toEqual(["COPY --from=files /files /"]);
    }
  });

  it("leaves the choice of GPUs to whoever runs the image, and takes no token", () => {
    const set = instructions.filter((line) => /^(ENV|ARG) /.test(line)).join("\n");
    expect(set).toContain("NVIDIA_DRIVER_CAPABILITIES=compute,utility");
    expect(set).not.toContain("NVIDIA_VISIBLE_DEVICES");
    expect(set).not.toMatch(/TOKEN/);
  });

  it("makes root the owner of our own files, where ids are remapped as well", () => {
    const start = instructions.findIndex((line) => line.endsWith(" AS files"));
    const copies = instructions.slice(start + 1).filter((line) => /^COPY (?!--from=)/.test(line));
    expect(copies.length).toBeGreaterThan(0);
    for (const line of copies) expect(line).toMatch(/^COPY --chown=0:0 /);
  });

  it("copies only what .dockerignore lets through", () => {
    const allowed = read(".dockerignore").split("\n");
    expect(allowed).toContain("*");
    const sources = instructions
      .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
      .flatMap((line) => line.split(/\s+/).slice(1, -1))
      .filter((word) => !word.startsWith("--"));
    expect(sources.length).toBeGreaterThan(0);
    for (const source of sources) {
      const pattern = source.replace(/^requirements.*\.txt$/, "requirements*.txt");
      expect(allowed).toContain(pattern === "notebooks" ? "!notebooks/*.ipynb" : `!${pattern}`);
    }
  });
});

describe("docker/files", () => {
  it("is seen by a build, whatever is in it, and a change in it makes another image; the rest of docker/ is not", () => {
    const context = mkdtempSync(join(tmpdir(), "gpubox-context-"));
    const put = (name: string, text: string) => {
      mkdirSync(dirname(join(context, name)), { recursive: true });
      writeFileSync(join(context, name), text);
      return contextDigest({ context, dockerfile: join(context, "Dockerfile") });
    };
    writeFileSync(join(context, "Dockerfile"), "FROM scratch\n");
    const plain = put(".dockerignore", read(".dockerignore"));
    expect(put("notes.txt", "mine")).toBe(plain);
    const added = put("files/deep/.hidden", "1");
    expect(added).not.toBe(plain);
    expect(put("files/deep/.hidden", "2")).not.toBe(added);
    rmSync(context, { recursive: true });
  });
});

describe("profile.sh", () => {
  const type = (habit: string, env: NodeJS.ProcessEnv) =>
    spawnSync(
      "bash",
      ["-c", 'shopt -s expand_aliases; . "$0"; eval "$1"', join(docker, "profile.sh"), habit],
      {
        env: { PATH: process.env.PATH ?? "", JUPYTER_TOKEN: "canary", ...env },
        encoding: "utf8",
      },
    );

  it.each([
    "j9",
    "jupyter_notebook_GPU_1_PORT_8889",
  ])("%s says that the port is not published and how it would be, with no link that leads nowhere", (habit) => {
    const { status, stdout } = type(habit, { JUPYTER_PORT: "8888" });
    expect(status).toBe(1);
    expect(stdout).toContain("publishes port 8888 alone: nothing outside it reaches port 8889");
    expect(stdout).not.toMatch(/http|canary/);
    const [, line = ""] = /^ +- (\{.*\})$/m.exec(stdout) ?? [];
    const { notebooks } = parseConfig({ notebooks: [{ name: "container1", gpus: [0] }, parse(line)] }, "dev");
    expect(notebooks[1]).toMatchObject({ name: "container2", gpus: [1], port: 8889 });
  });

  it("has the link for the port that is published, or that nobody has named", () => {
    for (const env of [{ JUPYTER_PORT: "8889" }, {}]) {
      const path = mkdtempSync(join(tmpdir(), "gpubox-profile-"));
      writeFileSync(join(path, "curl"), "#!/bin/sh\n", { mode: 0o755 });
      const { stdout } = type("j9", { ...env, PATH: `${path}:${process.env.PATH}` });
      rmSync(path, { recursive: true });
      expect(stdout).toContain("http://localhost:8889/lab?token=canary");
    }
  });
});

describe.each(["requirements.txt", "requirements-lab.txt", "requirements-uv.txt"])("lock %s", (name) => {
  const entries = read(name)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .join("\n")
    .replaceAll("\\\n", " ")
    .split("\n");

  it("pins and hashes every requirement", () => {
    expect(entries.length).toBeGreaterThan(0);
    for (const entry of entries) {
      expect(entry).toMatch(/^[a-z0-9][a-z0-9.-]*==[^\s;]+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+$/);
    }
  });

  it("names no index and no host", () => {
    expect(read(name)).not.toMatch(/:\/\/|--(extra-)?index-url|--find-links|--trusted-host| @ /);
  });
});

describe("the two locks", () => {
  // Without the platforms they are for: the full one may need on all of them what the small one needs on some.
  const pins = (name: string) => read(name).match(/^[a-z0-9.-]+==[^ ]+/gm) ?? [];

  it("agree on what both hold: the full image is built on the packages of the small one", () => {
    const full = new Set(pins("requirements.txt"));
    expect(pins("requirements-lab.txt").filter((pin) => !full.has(pin))).toEqual([]);
  });

  it("hold PyTorch in the full one only", () => {
    const named = (name: string) => pins(name).map((pin) => pin.split("==")[0]);
    expect(named("requirements.txt")).toEqual(
      expect.arrayContaining(["torch", "torchvision", "fastai", "jupyterlab"]),
    );
    expect(named("requirements-lab.txt")).not.toContain("torch");
  });
});

interface Cell {
  cell_type: string;
  id: string;
  source: string[];
  outputs?: unknown[];
  execution_count?: number | null;
}

describe("starter notebooks", () => {
  const names = readdirSync(join(docker, "notebooks"));

  it("are the three of the image", () => {
    expect(names.sort()).toEqual(["first-model.ipynb", "is-my-gpu-working.ipynb", "where-things-live.ipynb"]);
  });

  it.each(names)("%s is a notebook of format 4.5 that was never run", (name) => {
    const notebook = JSON.parse(read(`notebooks/${name}`)) as {
      nbformat: number;
      nbformat_minor: number;
      metadata: { kernelspec: { name: string } };
      cells: Cell[];
    };
    expect([notebook.nbformat, notebook.nbformat_minor]).toEqual([4, 5]);
    expect(notebook.metadata.kernelspec.name).toBe("python3");
    expect(new Set(notebook.cells.map((cell) => cell.id)).size).toBe(notebook.cells.length);
    const code = notebook.cells.filter((cell) => cell.cell_type === "code");
    expect(code.length).toBeGreaterThan(0);
    for (const cell of code) {
      expect(cell.outputs).toEqual([]);
      expect(cell.execution_count).toBeNull();
    }
  });

  it("train without a download, and fail where the model has not learned", () => {
    const text = (JSON.parse(read("notebooks/first-model.ipynb")).cells as Cell[])
      .flatMap((cell) => cell.source)
      .join("");
    expect(text).toContain("pretrained=False");
    expect(text).toContain("assert score >= 0.9");
  });
});

const python = spawnSync("python3", ["--version"]).status === 0;
if (!python && !process.env.CI)
  console.warn("make-samples.py is not tested: python3 is missing (apt-get install python3)");

describe.skipIf(!python && !process.env.CI)("make-samples.py", () => {
  const out = mkdtempSync(join(tmpdir(), "gpubox-samples-"));
  /** Draws all of them, or just so many of each class for either use. */
  const draw = (name: string, count?: number) =>
    count
      ? execFileSync("python3", ["-c", FEW, docker, String(count), join(out, name)])
      : execFileSync("python3", [join(docker, "make-samples.py"), join(out, name)]);
  const FEW = `
import importlib, pathlib, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
samples = importlib.import_module("make-samples")
samples.COUNTS = dict.fromkeys(samples.COUNTS, int(sys.argv[2]))
samples.main(pathlib.Path(sys.argv[3]))
`;
  const files = (name: string) =>
    readdirSync(join(out, name), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".png"))
      .sort();
  const digest = (name: string) => {
    const hash = createHash("sha256");
    for (const file of files(name)) hash.update(file).update(readFileSync(join(out, name, file)));
    return hash.digest("hex");
  };

  beforeAll(() => {
    draw("all");
    draw("few", 10);
    draw("few again", 10);
  }, 120_000);
  afterAll(() => rmSync(out, { recursive: true, force: true }));

  it("draws the same pictures on every run", () => {
    expect(files("few")).toHaveLength(40);
    expect(digest("few again")).toBe(digest("few"));
  });

  it("draws as many of each class, to train on and to check with", () => {
    const counts = Object.groupBy(files("all"), (file) => file.slice(0, file.lastIndexOf("/")));
    expect(
      Object.fromEntries(Object.entries(counts).map(([folder, list]) => [folder, list?.length])),
    ).toEqual({
      "train/circle": 200,
      "train/triangle": 200,
      "valid/circle": 50,
      "valid/triangle": 50,
    });
  });

  it("draws pictures that differ, each a whole 64 x 64 PNG", () => {
    const all = files("all").map((file) => readFileSync(join(out, "all", file)));
    expect(new Set(all.map((png) => png.toString("base64"))).size).toBe(all.length);
    for (const png of all) {
      expect(png.subarray(0, 8)).toEqual(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]));
      expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([64, 64]);
      // The one data chunk follows the header: its body is every row with a filter byte before it.
      const length = png.readUInt32BE(33);
      expect(png.subarray(37, 41).toString()).toBe("IDAT");
      expect(inflateSync(png.subarray(41, 41 + length))).toHaveLength(64 * (64 * 3 + 1));
    }
  });

  it("says how it is used", () => {
    expect(() => execFileSync("python3", [join(docker, "make-samples.py")], { stdio: "pipe" })).toThrow(
      /usage: make-samples.py OUTDIR/,
    );
  });
});
