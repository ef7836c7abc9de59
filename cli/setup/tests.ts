/** What the tests need of a machine, as far as it can be had. */
import type { Context } from "../context.ts";
import { findSystemProgram } from "../path.ts";
import type { Env } from "../run.ts";
import { Problem } from "../say.ts";
import { prepareToolchain } from "../session.ts";
import { DOCKER_PACKAGES } from "./docker.ts";
import { canInstall, inspectMachine, installPackages } from "./packages.ts";
import { sayStandIns } from "./plugins.ts";

/** What the tests start by themselves, and the packages that have it. */
const PROGRAMS = {
  dockerd: "docker.io",
  docker: "docker-cli",
  iptables: "iptables",
  debootstrap: "debootstrap",
  ip: "iproute2",
  ps: "procps",
  sshd: "openssh-server",
  "ssh-keygen": "openssh-client",
  "mkfs.ext4": "e2fsprogs",
  // What stands for AWS is a Python package, and its volumes are loop devices.
  losetup: "mount",
  pip3: "python3-pip",
  // What a person sees of JupyterLab.
  chromium: "chromium",
  // What host-scripts/ may find on a host, or not: each is tried with and without.
  aria2c: "aria2",
  bsdtar: "libarchive-tools",
  bzip2: "bzip2",
  curl: "curl",
  git: "git",
  "git-lfs": "git-lfs",
  perl: "perl",
  python3: "python3",
  unzip: "unzip",
  wget: "wget",
  xz: "xz-utils",
  zip: "zip",
  zstd: "zstd",
};

/** The tests' environment, and what could not be had. */
export interface TestSetup {
  env: Env;
  /** One sentence each: what is missing, why, and what mends it. Empty where every test can run. */
  missing: string[];
}

/**
 * Gets ready for the end-to-end tests: the engine with its plugins, the packages that a private Docker daemon
 * and a base image need. Never fails: what cannot be had is named, so that the tests that need it can say so.
 */
export async function prepareTests(context: Context): Promise<TestSetup> {
  const missing: string[] = [];
  const attempt = async <T>(action: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      missing.push(error.message);
      return undefined;
    }
  };
  const toolchain = await attempt(() => prepareToolchain(context));
  if (toolchain) sayStandIns(toolchain);
  await attempt(() => preparePackages(context));
  return { env: toolchain?.env ?? context.env, missing };
}

async function preparePackages(context: Context): Promise<void> {
  const machine = await inspectMachine(context);
  if (!machine.root) {
    throw new Problem(
      "a private Docker daemon needs root: run `sudo npm test`, or let CI run the end-to-end tests",
    );
  }
  const absent = Object.entries(PROGRAMS).filter(([name]) => !findSystemProgram(name, context.env.PATH));
  if (absent.length === 0) return;
  const packages = absent.map(([, name]) => name);
  // With systemd the package starts a server that lets people in, which no test may do to a person's machine.
  const servesPeople = machine.systemd && packages.includes(PROGRAMS.sshd);
  if (!canInstall(machine) || servesPeople) {
    throw new Problem(`${absent.map(([name]) => name).join(", ")} not found: install ${packages.join(", ")}`);
  }
  await installPackages(context, machine, [...new Set([...packages, ...DOCKER_PACKAGES])]);
}
