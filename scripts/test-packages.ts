/** What the tests need of a machine, as far as it can be had. */
import type { Context } from "../cli/context.ts";
import { DOCKER_PACKAGES } from "../cli/docker/install.ts";
import { canInstall, inspectMachine, installPackages } from "../cli/system/packages.ts";
import { findSystemProgram } from "../cli/system/path.ts";
import type { Env } from "../cli/system/run.ts";
import { UserError } from "../errors.ts";

/** What the tests start by themselves, and the packages that have it. */
const PROGRAMS = {
  dockerd: "docker.io",
  docker: "docker-cli",
  iptables: "iptables",
  // Each end-to-end file has a network of its own, and a way out of it.
  slirp4netns: "slirp4netns",
  unshare: "util-linux",
  // A daemon of a person's own, without root.
  rootlesskit: "rootlesskit",
  newuidmap: "uidmap",
  debootstrap: "debootstrap",
  ip: "iproute2",
  ps: "procps",
  sshd: "openssh-server",
  "ssh-keygen": "openssh-client",
  "mkfs.ext4": "e2fsprogs",
  "mkfs.xfs": "xfsprogs",
  growpart: "cloud-guest-utils",
  sfdisk: "fdisk",
  // What stands for AWS is a Python package, and its volumes are loop devices.
  losetup: "mount",
  pip3: "python3-pip",
  // What a person sees of JupyterLab.
  chromium: "chromium",
  // What host-scripts/ may find on a host.
  curl: "curl",
  git: "git",
  "git-lfs": "git-lfs",
  openssl: "openssl",
  python3: "python3",
  wget: "wget",
  // What makes the archives of the tests.
  bzip2: "bzip2",
  xz: "xz-utils",
  zip: "zip",
  zstd: "zstd",
  // What gpubox is measured against.
  unzip: "unzip",
};

/** Variable in which tests and measurements find what is missing on this machine: a JSON list of sentences. */
export const MISSING = "GPUBOX_TEST_MISSING";

/** What a test of a machine cannot do without and no package gives, or is missing still: one sentence each. */
export function missingForTests({ env }: Context): string[] {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return [
      "a private Docker daemon needs root on Linux: run `sudo npm test`, or let CI run the end-to-end tests",
    ];
  }
  const absent = absentPrograms(env);
  if (absent.length === 0) return [];
  const packages = [...new Set(absent.map((name) => PROGRAMS[name]))];
  return [`${absent.join(", ")} not found: install ${packages.join(", ")}`];
}

/**
 * Installs what the tests start by themselves, as root on Debian or Ubuntu. Never fails: what cannot be had is named, so that
 * the tests that need it can say so.
 *
 * @returns one sentence for each reason why tests cannot run here; empty where every test can
 */
export async function prepareTestPackages(context: Context): Promise<string[]> {
  const machine = await inspectMachine(context);
  const packages = absentPrograms(context.env).map((name) => PROGRAMS[name]);
  // With systemd the package starts a server that lets people in, which no test may do to a person's machine.
  const servesPeople = machine.systemd && packages.includes(PROGRAMS.sshd);
  if (packages.length > 0 && machine.root && canInstall(machine) && !servesPeople) {
    try {
      await installPackages(context, machine, [...new Set([...packages, ...DOCKER_PACKAGES])]);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return [error.message];
    }
  }
  return missingForTests(context);
}

function absentPrograms(env: Env): (keyof typeof PROGRAMS)[] {
  const names = Object.keys(PROGRAMS) as (keyof typeof PROGRAMS)[];
  return names.filter((name) => !findSystemProgram(name, env.PATH));
}
