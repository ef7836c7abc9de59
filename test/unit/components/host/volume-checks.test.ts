import { describe, expect, it } from "vitest";
import { givesAway } from "../../../../components/host/volume-checks.ts";

const SOCKET = /^the socket of Docker, and so root's rights on every file of the host, read-only or not$/;
const HOME = /^all in your home, to read and to change: keys, passwords/;
const KEYS = /^keys and passwords of yours/;
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
    "/etc/ssl/certs",
    "/var",
    "/runs",
    "/rootfs",
    "/home/ada/.cache/torch",
    "/srv/notes.ssh",
  ])("%s is a folder like any other", (source) => {
    expect(rw(source)).toBeUndefined();
  });

  it("gives to read what is mounted read-only, but for a socket", () => {
    const ro = (source: string) => givesAway({ source, readOnly: true });
    expect(ro("/home/ada")).toContain("all in your home, to read:");
    expect(ro("/run/docker.sock")).toMatch(SOCKET);
  });
});
