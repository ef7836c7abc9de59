/** What a person types once a stack is up: the browser, the alias, the entry for ssh, the figures. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { browserProgram, openBrowser } from "../../../cli/browser.ts";
import { aliasLines } from "../../../cli/commands/alias.ts";
import { duration, kernelText, machineLines, readUsage, size, type Usage } from "../../../cli/usage.ts";
import { sshConfig } from "../../../components/host/ssh-command.ts";

const folder = mkdtempSync(join(tmpdir(), "gpubox-arrival-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the browser", () => {
  const program = (name: string, text: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  const PATH = `${folder}:${process.env.PATH}`;
  const URL = "http://127.0.0.1:8888/?token=secret";

  it("gets to the notebook by a page that is there once, and the token is in no argument", async () => {
    program(
      "my-browser",
      `echo "$@" > ${folder}/args; curl -si "$1" > ${folder}/first; curl -si "$1" > ${folder}/second`,
    );
    expect(await openBrowser(URL, { PATH, BROWSER: "my-browser" })).toBe(true);
    expect(readFileSync(join(folder, "args"), "utf8")).not.toContain("secret");
    const first = readFileSync(join(folder, "first"), "utf8");
    expect(first).toMatch(/^HTTP\/1\.1 302/);
    expect(first).toContain(`location: ${URL}`);
  });

  it("is the first that BROWSER names and that is there, by name or by path", () => {
    program("my-browser", "");
    const path = join(folder, "my-browser");
    expect(browserProgram({ PATH: "/usr/bin", BROWSER: path }, "linux")).toBe(path);
    expect(browserProgram({ PATH, BROWSER: "/nowhere/browser:not-there:my-browser" }, "linux")).toBe(path);
    expect(browserProgram({ PATH: "/nowhere", BROWSER: `${path}-2` }, "linux")).toBeUndefined();
  });

  it("is not opened where there is no screen, or the program fails", async () => {
    program("xdg-open", "exit 3");
    expect(browserProgram({ PATH }, "linux")).toBeUndefined();
    expect(browserProgram({ PATH, DISPLAY: ":0" }, "linux")).toBe(join(folder, "xdg-open"));
    expect(await openBrowser(URL, { PATH })).toBe(false);
    expect(await openBrowser(URL, { PATH, DISPLAY: ":0" })).toBe(false);
  });
});

describe("the alias", () => {
  it.each(["sh", "bash"])("works in %s, in whatever folder the checkout is", (shell) => {
    const root = join(folder, "a person's own folder $HOME");
    mkdirSync(root, { recursive: true });
    const npm = join(folder, "npm");
    writeFileSync(npm, `#!/bin/sh\nfor each; do printf '<%s>' "$each"; done; echo\n`);
    chmodSync(npm, 0o755);
    const script = `${shell === "bash" ? "shopt -s expand_aliases\n" : ""}${aliasLines(root, "lab")}\nfastai\n`;
    const printed = execFileSync(shell, { input: script, env: { PATH: `${folder}:${process.env.PATH}` } });
    expect(printed.toString()).toBe(
      `<--prefix><${root}><run><--silent><start><--><-s><lab>\n<--prefix><${root}><run><--silent><shell><--><-s><lab>\n`,
    );
  });
});

describe("the entry for ssh", () => {
  /** What ssh itself makes of an entry. */
  const asSshReadsIt = (entry: string, name: string) => {
    const file = join(folder, "config");
    writeFileSync(file, `${entry}\n`);
    const lines = execFileSync("ssh", ["-G", "-F", file, name]).toString().split("\n");
    return new Map(lines.map((line) => [line.split(" ", 1)[0], line.slice(line.indexOf(" ") + 1)]));
  };

  it("has ssh check the pinned key and nothing else", () => {
    const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBkeykeykeykeykeykeykeykeykeykeykeykeykey";
    const connection = { address: "gpu.example.org", user: "ada", port: 2222, key: "~/.ssh/id_gpu", hostKey };
    const read = asSshReadsIt(sshConfig("gpubox-lab", connection, new Map()), "gpubox-lab");
    expect(Object.fromEntries(read)).toMatchObject({
      hostname: "gpu.example.org",
      user: "ada",
      port: "2222",
      stricthostkeychecking: "true",
      knownhostscommand: `/bin/echo %H ${hostKey}`,
      userknownhostsfile: "/dev/null",
      identitiesonly: "yes",
    });
    expect(read.get("identityfile")).toMatch(/\.ssh\/id_gpu$/);
  });

  it("takes along what ~/.ssh/config says of the address", () => {
    const known = new Map([
      ["hostname", "10.0.0.7"],
      ["user", "eve"],
      ["port", "22"],
      ["proxyjump", "bastion"],
    ]);
    const read = asSshReadsIt(sshConfig("gpubox-lab", { address: "gpu" }, known), "gpubox-lab");
    expect(Object.fromEntries(read)).toMatchObject({
      hostname: "10.0.0.7",
      user: "eve",
      proxyjump: "bastion",
    });
  });

  it("goes through Session Manager where the stack does", () => {
    const proxyCommand = "aws ssm start-session --target %h --parameters portNumber=%p --region us-east-1";
    const connection = { address: "i-0123", user: "ubuntu", proxyCommand };
    const read = asSshReadsIt(sshConfig("gpubox-aws", connection, new Map()), "gpubox-aws");
    expect(Object.fromEntries(read)).toMatchObject({ hostname: "i-0123", proxycommand: proxyCommand });
  });
});

describe("the figures", () => {
  const usage: Usage = {
    containers: [{ name: "a", state: "running", health: "healthy", imageBytes: 9e9, kernels: [] }],
    gpus: [{ index: 0, percent: 37, used: 1200, total: 23034 }],
    code: 2_000,
    data: null,
    uptime: 7500,
  };

  it("are read from the last line", () => {
    expect(readUsage(`welcome\n${JSON.stringify(usage)}\n`)).toEqual(usage);
  });

  it("are told in the units of people", () => {
    expect(machineLines(usage)).toEqual([
      "GPU 0: 37 % in use, 1200 of 23034 MiB",
      "disk: code 2 MB, data ?, image 9.0 GB",
    ]);
    expect(duration(7500)).toBe("2 h 05 min");
    expect(duration(59)).toBe("0 min");
    expect(size(5_000_000)).toBe("5.1 GB");
  });

  it("say what the kernels do", () => {
    const now = Date.parse("2026-01-01T12:00:00Z");
    const kernel = (execution_state: string, minutes: number) => ({
      execution_state,
      last_activity: new Date(now - minutes * 60_000).toISOString(),
    });
    expect(kernelText(null, now)).toBe("kernels unknown");
    expect(kernelText([], now)).toBe("no kernel");
    expect(kernelText([kernel("idle", 12)], now)).toBe("1 kernel, idle for 12 min");
    expect(kernelText([kernel("idle", 90), kernel("busy", 0)], now)).toBe("2 kernels, 1 busy");
    expect(kernelText([kernel("busy", 3)], now)).toBe("1 kernel, busy");
  });
});
