import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { pingDocker } from "../../../../cli/docker/daemon.ts";
import { type DockerPlan, planDocker } from "../../../../cli/docker/install.ts";
import { type Machine, parseFamily } from "../../../../cli/system/packages.ts";
import { parseConfig } from "../../../../config/schema.ts";
import { UserError } from "../../../../errors.ts";
import { dockerEndpoint } from "../../../../machine/docker/endpoint.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("the address of Docker", () => {
  const useContext = (name: string, host: string) => {
    const id = createHash("sha256").update(name).digest("hex");
    const meta = join(folder, ".docker", "contexts", "meta", id);
    mkdirSync(meta, { recursive: true });
    writeFileSync(
      join(meta, "meta.json"),
      JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }),
    );
    writeFileSync(join(folder, ".docker", "config.json"), JSON.stringify({ currentContext: name }));
  };
  const byDefault = { host: "unix:///var/run/docker.sock", from: "default" };

  it("is the default socket where nobody says otherwise", () => {
    expect(dockerEndpoint({ HOME: folder })).toEqual(byDefault);
  });
  it("is that of the current context", () => {
    useContext("desktop-linux", "unix:///home/me/.docker/desktop/docker.sock");
    expect(dockerEndpoint({ HOME: folder })).toEqual({
      host: "unix:///home/me/.docker/desktop/docker.sock",
      from: "context",
    });
    expect(dockerEndpoint({ HOME: folder, DOCKER_CONTEXT: "default" })).toEqual(byDefault);
  });
  it("is none where the context is none that is there, and those that are there are named", () => {
    useContext("desktop-linux", "unix:///x");
    const named = () => dockerEndpoint({ HOME: folder, DOCKER_CONTEXT: "nosuch" });
    expect(named).toThrow(
      /^there is no Docker context nosuch, which DOCKER_CONTEXT names; there is default, desktop-linux: unset/,
    );
    expect(named).toThrow(UserError);
    writeFileSync(join(folder, ".docker", "config.json"), JSON.stringify({ currentContext: "gone" }));
    expect(() => dockerEndpoint({ HOME: folder })).toThrow(
      `no Docker context gone, which ${join(folder, ".docker", "config.json")} names; there is default, desktop-linux: run \`docker context use\``,
    );
  });
  it.each([
    ["ssh://ada@gpu.example.org:2222", { address: "gpu.example.org", user: "ada", port: 2222 }],
    ["ssh://lab", { address: "lab" }],
    ["ssh://ada@[fd00::2]", { address: "fd00::2", user: "ada" }],
  ])("is not another machine's, whose configuration it says: %s", (host, keys) => {
    const problems = [() => dockerEndpoint({ HOME: folder, DOCKER_HOST: host })];
    useContext("elsewhere", host);
    problems.push(() => dockerEndpoint({ HOME: folder }));
    const told = problems.map((problem) => {
      expect(problem).toThrow(UserError);
      try {
        return String(problem());
      } catch (error) {
        return (error as Error).message;
      }
    });
    for (const tell of told) {
      const lines = tell.slice(tell.indexOf("  config:"), tell.indexOf("\nFor one on this machine"));
      const { config } = parse(lines);
      expect(config["gpubox:host"]).toEqual({ kind: "ssh", ...keys });
      expect(() => parseConfig({ host: config["gpubox:host"] }, "lab")).not.toThrow();
    }
    expect(told[0]).toMatch(/^DOCKER_HOST names .*unset DOCKER_HOST\.$/s);
    expect(told[1]).toMatch(/^your Docker context names .*run `docker context use default`\.$/s);
  });
  it("is DOCKER_HOST, whatever the context", () => {
    useContext("desktop-linux", "unix:///x");
    expect(dockerEndpoint({ HOME: folder, DOCKER_HOST: "tcp://box:2375" })).toEqual({
      host: "tcp://box:2375",
      from: "DOCKER_HOST",
    });
  });
});

describe("asking a daemon whether it is there", () => {
  it("tells one that answers from one that does not", async () => {
    const socket = join(folder, "docker.sock");
    expect(await pingDocker(`unix://${socket}`)).toBe("silent");
    const server = createServer((request, response) => {
      response.statusCode = request.url === "/_ping" ? 200 : 404;
      response.end("OK");
    }).listen(socket);
    try {
      await new Promise((resolve) => server.once("listening", resolve));
      expect(await pingDocker(`unix://${socket}`)).toBe("ok");
    } finally {
      server.close();
    }
  });

  it("does not wait for one that says nothing", async () => {
    const socket = join(folder, "docker.sock");
    const server = createServer(() => {}).listen(socket);
    try {
      expect(await pingDocker(`unix://${socket}`, 200)).toBe("silent");
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe("what is done about Docker", () => {
  const debian: Machine = {
    platform: "linux",
    family: ["debian"],
    root: true,
    sudo: false,
    systemd: false,
    interactive: false,
  };
  const person = { root: false, sudo: true, interactive: true };
  const all = { dockerd: true, iptables: true };
  const none = { dockerd: false, iptables: false };
  const here = { host: "unix:///var/run/docker.sock", from: "default" } as const;
  const tell = (plan: DockerPlan) => (plan.do === "give up" ? plan.tell : `(${plan.do})`);

  it("uses a daemon that answers, whatever else there is", () => {
    expect(planDocker(here, "ok", none, { ...debian, root: false })).toEqual({ do: "use" });
  });
  it("starts one that is installed, as root or with sudo", () => {
    expect(planDocker(here, "silent", all, debian)).toEqual({ do: "start" });
    expect(planDocker(here, "silent", all, { ...debian, ...person })).toEqual({ do: "start" });
    expect(tell(planDocker(here, "silent", all, { ...debian, root: false }))).toMatch(
      "systemctl start docker",
    );
  });
  it("installs on Debian: at once without a terminal, after asking on one", () => {
    expect(planDocker(here, "silent", none, debian)).toEqual({ do: "install" });
    expect(planDocker(here, "silent", none, { ...debian, interactive: true })).toEqual({ do: "ask" });
    expect(planDocker(here, "silent", none, { ...debian, family: ["ubuntu", "debian"], ...person })).toEqual({
      do: "ask",
    });
  });
  it("installs iptables where only that is missing: the daemon does not start without it", () => {
    expect(planDocker(here, "silent", { dockerd: true, iptables: false }, debian)).toEqual({ do: "install" });
  });
  it.each([
    [{ root: false }, "sudo apt-get install docker.io iptables"],
    [{ family: ["fedora"] }, "sudo dnf install moby-engine"],
    [{ family: ["arch"] }, "sudo pacman -S docker"],
    [{ family: ["opensuse-leap", "suse"] }, "sudo zypper install docker"],
    [{ family: ["gentoo"] }, "https://docs.docker.com/engine/install/"],
    [{ platform: "darwin", family: [] }, "desktop/setup/install/mac-install"],
    [{ platform: "win32", family: [] }, "desktop/setup/install/windows-install"],
  ] as [Partial<Machine>, string][])("says what to run on %j", (machine, command) => {
    expect(tell(planDocker(here, "silent", none, { ...debian, ...machine }))).toContain(command);
  });
  it("says how to be allowed", () => {
    expect(tell(planDocker(here, "denied", all, debian))).toContain("sudo usermod -aG docker $USER");
  });
  it("never starts or installs in the place of a daemon that somebody named", () => {
    const named = { host: "tcp://box:2375", from: "DOCKER_HOST" } as const;
    expect(tell(planDocker(named, "silent", all, debian))).toMatch(/tcp:\/\/box:2375 .*unset DOCKER_HOST/);
    expect(tell(planDocker({ ...named, from: "context" }, "silent", none, debian))).toContain(
      "docker context use default",
    );
  });
});

describe("the family of a Linux", () => {
  it("is the distribution and those it derives from", () => {
    expect(parseFamily('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n')).toEqual(["ubuntu", "debian"]);
    expect(parseFamily('ID="rocky"\nID_LIKE="rhel centos fedora"\n')).toContain("fedora");
    expect(parseFamily("")).toEqual([]);
  });
});
