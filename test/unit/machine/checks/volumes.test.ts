import { describe, expect, it } from "vitest";
import { hostChecks, preflightProblems } from "../../../../machine/checks/preflight.ts";
import {
  checkoutChecks,
  givesAway,
  ownFolderProblem,
  volumeChecks,
} from "../../../../machine/checks/volumes.ts";
import type { HostFacts, HostNeeds, MountedPath } from "../../../../machine/facts.ts";

const FACTS: HostFacts = {
  gpus: { gpus: [], runtime: undefined, problem: undefined },
  containers: [],
  networks: [],
  volumes: [],
  listenErrors: new Map(),
};

const needing = (volumes: MountedPath[]): HostNeeds => ({
  stack: "gpubox/dev",
  network: "gpubox-dev",
  notebooks: [{ name: "container1", gpus: "none", address: "127.0.0.1", port: 8888, volumes }],
});

const SOCKET = /^the socket of Docker, and so root's rights on every file of the host, read-only or not$/;
const HOME = /^all in your home, to read and to change: keys, passwords/;
const KEYS = /^keys and passwords of yours/;
const SERVICES = /^sockets that control programs on the host/;
const DOCKERS = /everything in everyone's containers, images and volumes/;
const PROGRAMS = /^the host's own programs, to change$/;
const YOURS = /^settings and programs of yours, to read and to change/;
const SETTINGS = /^the host's own settings/;

const rw = (source: string) => givesAway({ source, readOnly: false }, "/data/people/ada");

describe("a path of the host that is mounted", () => {
  it.each([
    ["/var/run/docker.sock", SOCKET],
    ["/run/docker.sock", SOCKET],
    ["/var/run/docker.sock/", SOCKET],
    ["/var//run/./docker.sock", SOCKET],
    ["/run", SOCKET],
    ["/var/run/", SOCKET],
    ["/run/user/1000/docker.sock", SOCKET],
    ["/run/containerd/containerd.sock", SOCKET],
    ["/", /socket of Docker.*host's own settings.*all in your home/],
    ["/etc", SETTINGS],
    ["/etc/cron.d", SETTINGS],
    ["/etc/ssl/certs", SETTINGS],
    ["/boot", SETTINGS],
    ["/var/spool/cron", SETTINGS],
    ["/var/lib/docker", DOCKERS],
    ["/var/lib/docker/volumes/x", DOCKERS],
    ["/var/lib", DOCKERS],
    ["/var", /own settings.*everyone's containers/],
    ["/dev", /^the host's devices/],
    ["/dev/sda", /^the host's devices/],
    ["/proc", /^the host's kernel and processes/],
    ["/sys/fs/cgroup", /^the host's kernel and processes/],
    ["/usr", PROGRAMS],
    ["/usr/local/bin", PROGRAMS],
    ["/lib", PROGRAMS],
    ["/run/user/1000", SERVICES],
    ["/run/user/1000/bus", SERVICES],
    ["/var/run/dbus", SERVICES],
    ["/data/people/ada/.bashrc", YOURS],
    ["/data/people/ada/.config", YOURS],
    ["/data/people/ada/.config/systemd/user", YOURS],
    ["/data/people/ada/.local/bin", YOURS],
    ["/data/people/ada/.cache", YOURS],
    ["/data/people/ada/.cache/gpubox/engine", YOURS],
    ["/data/people/ada/bin", YOURS],
    ["/home/ada/.profile", YOURS],
    ["/root/.vimrc", YOURS],
    ["/Users/ada/Library/LaunchAgents", YOURS],
    ["/data/people/ada/.netrc", KEYS],
    ["/data/people/ada/.git-credentials", KEYS],
    ["/data/people/ada/.pulumi", KEYS],
    ["/home", HOME],
    ["/home/ada", HOME],
    ["/home/ada/", HOME],
    ["/root", HOME],
    ["/Users/ada", HOME],
    ["/data/people/ada", HOME],
    ["/data/people", HOME],
    ["/data", HOME],
    ["/srv/../data", HOME],
    ["/data/people/ada/.ssh", KEYS],
    ["/home/ada/.ssh/id_ed25519", KEYS],
    ["/home/ada/.aws", KEYS],
    ["/home/ada/.gpubox", KEYS],
  ])("%s gives more than a folder", (source, what) => {
    expect(rw(source)).toMatch(what);
  });

  it.each([
    "/srv/models",
    "/home/ada/models",
    "/data/people/ada/models",
    "/data/people/adam",
    "/data/models",
    "/var/data",
    "/var/lib/models",
    "/etcetera",
    "/runs",
    "/rootfs",
    "/home/ada/.cache/torch",
    "/data/people/ada/.cache/torch",
    "/data/people/ada/binaries",
    "/data/people/ada/work/.git",
    "/srv/.models",
    "/srv/notes.ssh",
  ])("%s is a folder like any other", (source) => {
    expect(rw(source)).toBeUndefined();
  });

  it("gives to read what is mounted read-only, but for a socket", () => {
    const ro = (source: string) => givesAway({ source, readOnly: true });
    expect(ro("/home/ada")).toContain("all in your home, to read:");
    expect(ro("/run/docker.sock")).toMatch(SOCKET);
    expect(ro("/home/ada/.bashrc")).toMatch(
      /^settings and programs of yours, to read: passwords may be among them$/,
    );
    expect(ro("/etc/shadow")).toBe("the host's own settings, to read");
  });

  it.each([
    "/usr/share/zoneinfo",
    "/etc/ssl/certs",
    "/etc/localtime",
  ])("gives nothing with %s to read", (source) => {
    expect(givesAway({ source, readOnly: true }, "/home/ada")).toBeUndefined();
  });
});

describe("a path of the stack's own root", () => {
  const problem = (source: string, root = "/srv/box") =>
    ownFolderProblem({ source, readOnly: true }, root, "/home/ada");

  it.each([
    ["/srv/box/data", "as /data: leave it out"],
    ["/srv/box/code/", "as /code: leave it out"],
    ["/srv/box/data/.gpubox", "as /data/.gpubox"],
    ["/srv/box/data/pets", "as /data/pets"],
    ["/srv//box/./data/x/../pets", "as /data/pets"],
    ["/srv/box", "/srv/box holds /srv/box, of which every notebook already has its part"],
    ["/srv", "/srv holds /srv/box"],
  ])("cannot be mounted again: %s", (source, what) => {
    expect(problem(source)).toContain(what);
    expect(problem(source, "/srv/box/")).toContain(what.replace(/box,/, "box/,"));
  });

  it.each(["/srv/models", "/srv/box/models", "/srv/box/database", "/srv/boxes"])("%s can", (source) => {
    expect(problem(source)).toBeUndefined();
  });

  it("is warned of where that gives away all there is", () => {
    expect(problem("/")).toBeUndefined();
    expect(problem("/home/ada", "/home/ada/docker_mount")).toBeUndefined();
  });

  it("keeps a stack from coming up", () => {
    const needs = needing([
      { source: "/srv/box/data", readOnly: false },
      { source: "/etc", readOnly: true },
    ]);
    const facts = { ...FACTS, root: "/srv/box" };
    expect(preflightProblems(needs, facts)).toEqual([
      "gpubox:notebooks[0].volumes[0].source: /srv/box/data is already in every notebook, as /data: leave it out",
    ]);
    expect(volumeChecks(needs, facts).map(({ status }) => status)).toEqual(["fail", "warn"]);
  });
});

describe("the gpubox that a person runs", () => {
  const problem = (checkout: string, ...volumes: MountedPath[]) =>
    checkoutChecks(needing(volumes), { ...FACTS, root: "/srv/box", checkout })[0]?.problem;

  it("is not for notebooks to change", () => {
    expect(problem("/srv/box/code/gpubox")).toMatch(
      /can change gpubox itself.*\(it is in \/srv\/box\/code, which every notebook has\): keep \/srv\/box\/code\/gpubox where/,
    );
    expect(problem("/srv/box/data/gpubox")).toContain("it is in /srv/box/data");
    for (const source of ["/opt/gpubox", "/opt", "/opt/gpubox/cli/"])
      expect(problem("/opt/gpubox", { source, readOnly: false })).toContain(`(container1 has ${source})`);
  });

  it("is well where they cannot", () => {
    expect(problem("/opt/gpubox")).toBeUndefined();
    expect(problem("/srv/box/codes")).toBeUndefined();
    expect(problem("/opt/gpubox", { source: "/opt/gpubox", readOnly: true })).toBeUndefined();
    expect(problem("/opt/gpubox", { source: "/opt/gpubox2", readOnly: false })).toBeUndefined();
  });

  it("is a warning among the checks of this machine, and not looked for on another", () => {
    const facts = { ...FACTS, root: "/srv/box", checkout: "/srv/box/code/gpubox" };
    const [found] = hostChecks(needing([]), facts).filter(({ check }) => check.startsWith("checkout "));
    expect(found).toMatchObject({ status: "warn", found: "open to notebooks" });
    expect(checkoutChecks(needing([]), FACTS)).toEqual([]);
  });
});
