import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { urlAt } from "../../../../cli/commands/tunnel.ts";
import { createContext } from "../../../../cli/context.ts";
import { openRemote } from "../../../../cli/hosts/ssh.ts";
import { UserError } from "../../../../errors.ts";
import { tunnelPorts } from "../../../../machine/names.ts";

let root: string;
const { HOME } = process.env;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  // The sockets of connections are kept below it.
  process.env.HOME = root;
});
afterEach(() => {
  process.env.HOME = HOME;
  rmSync(root, { recursive: true });
});

describe("the machine of a stack", () => {
  const refusal = async (host: string) => {
    writeFileSync(join(root, "Pulumi.lab.yaml"), `config:\n  gpubox:host: ${host}\n`);
    const error = await openRemote({
      context: createContext({}, root),
      stack: "organization/gpubox/lab",
    }).catch((problem) => problem);
    // Only a UserError is told without a stack trace.
    expect(error).toBeInstanceOf(UserError);
    return error.message;
  };

  it("is refused before it is connected to where its configuration is wrong", async () => {
    expect(await refusal("{kind: ssh, address: 'a b', prot: 22}")).toMatch(
      /gpubox:host\.address: must be a name[\s\S]*gpubox:host\.prot: there is no such key[\s\S]*Pulumi\.lab\.yaml/,
    );
    expect(await refusal("{kind: local}")).toContain("is not on an SSH host");
  });

  it("that cannot be reached is told as the program tells it", async () => {
    const told = await refusal("{kind: ssh, address: 127.0.0.1, port: 1}");
    expect(told).toMatch(/127\.0\.0\.1 cannot be used \(step that failed: connect\); nothing was created/);
  });
});

describe("a home folder with a path too long for ssh's sockets", () => {
  it("is told before anything is connected, with the way round", async () => {
    process.env.HOME = join(root, "h".repeat(80));
    writeFileSync(
      join(root, "Pulumi.lab.yaml"),
      "config:\n  gpubox:host: {kind: ssh, address: 127.0.0.1, port: 1}\n",
    );
    await expect(openRemote({ context: createContext({}, root), stack: "lab" })).rejects.toThrow(
      /step that failed: ssh itself[\s\S]*home folder is too long for ssh's sockets[\s\S]*HOME=\/home\/g/,
    );
  });
});

describe("the tunnel", () => {
  it("is for what listens on the loopback, or everywhere", () => {
    expect(
      tunnelPorts([
        { address: "127.0.0.1", port: 8888 },
        { address: "10.0.0.5", port: 8889 },
        { address: "0.0.0.0", port: 8890 },
      ]),
    ).toEqual([8888, 8890]);
  });

  it("changes no more of a url than its port", () => {
    expect(urlAt("http://127.0.0.1:8888/?token=abc", 40123)).toBe("http://127.0.0.1:40123/?token=abc");
  });
});
