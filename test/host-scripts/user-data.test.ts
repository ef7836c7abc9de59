/** What a new machine is told, read by those who read it there. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { hostKey } from "../../components/host/aws/host-key.ts";
import { userData } from "../../components/host/aws/user-data.ts";
import { pythonPackages } from "../../scripts/python-packages.ts";
import { lacks, missingPrograms } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

const folder = ownFolder();

describe.skipIf(lacks(missingPrograms("ssh-keygen"), "ssh-keygen reads the host key"))("the host key", () => {
  it("is one that OpenSSH reads, with that public half", () => {
    const { privateKey, publicKey } = hostKey("seed");
    writeFileSync(join(folder, "key"), privateKey, { mode: 0o600 });
    const said = execFileSync("ssh-keygen", ["-y", "-f", join(folder, "key")], { encoding: "utf8" });
    expect(said.trim()).toBe(publicKey);
    expect(publicKey).toMatch(/^ssh-ed25519 [A-Za-z0-9+/=]+$/);
  });
});

const isText = (name: string) => /\.(sh|py)$/.test(name);

describe("a lock of apt's", () => {
  it("is in nobody's way: no script that runs on a host calls it, or only names it to a person", () => {
    const scripts = new URL("../../host-scripts/", import.meta.url);
    const calls = readdirSync(scripts, { recursive: true, encoding: "utf8" })
      .filter(isText)
      .flatMap((name) =>
        readFileSync(new URL(name, scripts), "utf8")
          .split("\n")
          .filter(
            (line) => /\b(apt|apt-get|dpkg)\b/.test(line) && !/^\s*#|"[^"]*sudo apt-get install/.test(line),
          ),
      );
    expect(calls).toEqual([]);
  });

  it("is nothing that a new machine waits for: it installs nothing", () => {
    const config = parse(userData(hostKey("seed")));
    expect(config).toMatchObject({ package_update: false, package_upgrade: false });
    expect(config).not.toHaveProperty("packages");
    expect(JSON.stringify(config.runcmd)).not.toMatch(/apt|dpkg|snap/);
  });
});

/** What cloud-init imports. */
const IMPORTS = ["PyYAML", "jinja2", "jsonpatch", "jsonschema", "configobj", "oauthlib", "requests"];

const needed = missingPrograms("apt-get dpkg-deb python3 pip3");

describe.skipIf(lacks(needed, "cloud-init checks the user data"))("the user data", () => {
  let packages: string;
  beforeAll(async () => {
    // Unpacked, not installed: it would set this machine up anew at its next start.
    execFileSync("apt-get", ["download", "-qq", "cloud-init"], { cwd: folder, stdio: "pipe" });
    const [archive = ""] = readdirSync(folder).filter((name) => name.endsWith(".deb"));
    execFileSync("dpkg-deb", ["-x", join(folder, archive), join(folder, "cloud-init")]);
    packages = await pythonPackages("cloud-init", IMPORTS.join("\n"));
  }, 180_000);

  const check = (data: string) => {
    writeFileSync(join(folder, "user-data"), data);
    return execFileSync(
      "python3",
      ["-m", "cloudinit.cmd.main", "schema", "--config-file", join(folder, "user-data")],
      {
        encoding: "utf8",
        stdio: "pipe",
        env: {
          PATH: process.env.PATH,
          PYTHONPATH: `${join(folder, "cloud-init/usr/lib/python3/dist-packages")}:${packages}`,
        },
      },
    );
  };

  it("is what cloud-init's schema takes", () => {
    expect(check(userData(hostKey("seed")))).toContain("Valid");
  });

  it("would not be, were it wrong", () => {
    expect(() =>
      check(userData(hostKey("seed")).replace("disable_root: true", "disable_root: [1]")),
    ).toThrow();
  });
});
