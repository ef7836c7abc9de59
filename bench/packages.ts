/** Measurement 7: the image's Python packages, by uv as the Dockerfile installs them, and by pip. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { ROOT } from "../cli/context.ts";
import type { Bench } from "./bench.ts";
import { compare, type Row, seconds } from "./harness.ts";

/** The system's own, as in the image. */
const PYTHON = "/usr/bin/python3";

const requirements = (name: string) => join(ROOT, "docker", `requirements-${name}.txt`);

export async function measurePackages(bench: Bench): Promise<Row[]> {
  const folder = join(bench.folder, "packages");
  const venv = join(folder, "venv");
  const env = await indexOnly();
  const run = (file: string, args: string[], further: Record<string, string> = {}) =>
    execa(file, args, { env: { ...env, ...further }, extendEnv: false });

  bench.say("making the environment that uv runs from");
  const tools = join(bench.folder, "uv");
  await run(PYTHON, ["-m", "venv", tools]);
  await run(join(tools, "bin", "pip"), ["install", "-q", "--require-hashes", "-r", requirements("uv")]);
  const uv = join(tools, "bin", "uv");

  /** Times an installation into a new environment, with nothing in any cache. */
  const cold = async (install: () => Promise<void>) => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    const taken = await seconds(install);
    await run(join(venv, "bin", "python"), ["-c", "import jupyterlab"]);
    return taken;
  };
  const rounds = await bench.rounds("packages", {
    uv: () =>
      cold(async () => {
        const options = {
          UV_CACHE_DIR: join(folder, "cache"),
          UV_COMPILE_BYTECODE: "1",
          UV_LINK_MODE: "copy",
          VIRTUAL_ENV: venv,
          ...(env.PIP_INDEX_URL ? { UV_DEFAULT_INDEX: env.PIP_INDEX_URL } : {}),
        };
        await run(uv, ["venv", "-q", "--python", PYTHON, venv], options);
        await run(uv, ["pip", "install", "-q", "--require-hashes", "-r", requirements("lab")], options);
      }),
    pip: () =>
      cold(async () => {
        await run(PYTHON, ["-m", "venv", venv]);
        const options = ["install", "-q", "--no-cache-dir", "--require-hashes"];
        await run(join(venv, "bin", "pip"), [...options, "-r", requirements("lab")]);
      }),
  });
  rmSync(folder, { recursive: true });
  const { stdout: versions } = await run("sh", [
    "-c",
    `${uv} --version | cut -d' ' -f1,2; ${PYTHON} -m pip --version | cut -d' ' -f1,2`,
  ]);
  return [
    {
      measurement: 7,
      what: "installing Python packages",
      against: "pip",
      unit: "s",
      aim: 0.3,
      ...compare(rounds, "uv", "pip"),
      note: `${versions.replace("\n", ", ")}; nothing cached, both compile bytecode`,
    },
  ];
}

/** An environment in which pip and uv know the index and nothing else: no wheels that lie about on this machine. */
async function indexOnly(): Promise<Record<string, string>> {
  const { stdout } = await execa(PYTHON, ["-m", "pip", "config", "get", "global.index-url"], {
    reject: false,
  });
  const index = process.env.PIP_INDEX_URL || stdout.trim();
  const kept = Object.entries(process.env).filter(([name]) => !/^(PIP|UV|PYTHON)/.test(name));
  const certificates = process.env.PIP_CERT;
  return {
    ...(Object.fromEntries(kept) as Record<string, string>),
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
    ...(index ? { PIP_INDEX_URL: index } : {}),
    ...(certificates ? { PIP_CERT: certificates, SSL_CERT_FILE: certificates } : {}),
  };
}
