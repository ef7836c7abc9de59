import { describe, expect, it } from "vitest";
import type { SshConnection } from "../../../../machine/ssh/command.ts";
import { explainHostKey, explainSsh, fingerprint, unreachable } from "../../../../machine/ssh/failure.ts";

const gpu: SshConnection = { address: "gpu.example.org", user: "ada" };
const PINNED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPxqdq2j2lnGQ51zqwOA80jUt21MsFgISEXdcHgzodlx";
const SHOWN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

const CHANGED = [
  "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
  "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
  "Offending ED25519 key in /home/ada/.ssh/known_hosts:1",
  "Host key for gpu.example.org has changed and you have requested strict checking.",
  "Host key verification failed.",
].join("\n");
const UNKNOWN = [
  "No ED25519 host key is known for gpu.example.org and you have requested strict checking.",
  "Host key verification failed.",
].join("\n");

describe("what ssh says", () => {
  it.each([
    [
      "ssh: Could not resolve hostname gpu.example.org: Name or service not known",
      "resolve",
      "gpubox:host.address",
    ],
    ["ssh: connect to host gpu.example.org port 22: Connection refused", "connect", "firewall"],
    ["ssh: connect to host gpu.example.org port 22: Connection timed out", "connect", "firewall"],
    ["ssh: connect to host 10.0.0.9 port 22: No route to host", "connect", "firewall"],
    [
      "Connection timed out during banner exchange\nConnection to 10.0.0.9 port 22 timed out",
      "connect",
      "firewall",
    ],
    ["kex_exchange_identification: Connection closed by remote host", "connect", "firewall"],
    [
      "client_loop: send disconnect: Broken pipe\nConnection reset by 10.0.0.9 port 22",
      "connect",
      "firewall",
    ],
    [
      "ada@gpu.example.org: Permission denied (publickey).",
      "authentication",
      "ssh-copy-id ada@gpu.example.org",
    ],
    ["Received disconnect: Too many authentication failures", "authentication", "gpubox:host.key"],
    [CHANGED, "host key", "Offending"],
    [UNKNOWN, "host key", "No ED25519 host key is known"],
    ["command-line line 0: Bad configuration option: knownhostscommand", "ssh itself", "OpenSSH 8.5"],
    ["/bin/sh: 1: exec: ssh: not found", "ssh itself", "apt-get install openssh-client"],
    ["/bin/sh: line 1: exec: ssh: command not found", "ssh itself", "apt-get install openssh-client"],
    ["No user exists for uid 4242", "ssh itself", "sudo tee -a /etc/passwd"],
    [
      "mkdir: cannot create directory '/home/ada/.gpubox': Read-only file system",
      "ssh itself",
      "~/.gpubox/ssh",
    ],
    ["sh: 1: Syntax error", "login shell", "Syntax error"],
    ["", "login shell", "without output"],
  ])("%j is a failure to %s", (stderr, step, mend) => {
    const failure = explainSsh(gpu, stderr);
    expect(failure.step).toBe(step);
    expect(failure.tell.join("\n")).toContain(mend);
  });

  it.each([
    "An error occurred (TargetNotConnected) when calling the StartSession operation: i-1 is not connected.",
    "An error occurred (ExpiredTokenException) when calling the StartSession operation: The security token expired",
    "SessionManagerPlugin is not found. Please refer to SessionManager Documentation",
    "Unable to locate credentials. You can configure credentials by running aws configure",
  ])("goes back to what AWS said before it: %s", (line) => {
    const { step, tell } = explainSsh({ address: "i-1" }, `${line}\nConnection closed by UNKNOWN port 65535`);
    expect(step).toBe("connect");
    expect(tell[0]).toBe(line);
    expect(tell[1]).toContain("AWS's Session Manager");
  });

  it("about a key file is told as well", () => {
    const said = "no such identity: /home/ada/.ssh/id: No such file\nada@gpu: Permission denied (publickey).";
    expect(explainSsh({ ...gpu, key: "~/.ssh/id" }, said).tell).toContain(
      "no such identity: /home/ada/.ssh/id: No such file",
    );
  });

  it("is told with the step and something to try", () => {
    expect(unreachable(gpu, "connect", ["it is off"])).toBe(
      "gpu.example.org cannot be used (step that failed: connect); nothing was created:\n  it is off\n  Try it: ssh -l ada -o StrictHostKeyChecking=yes gpu.example.org 'docker info'",
    );
  });
});

describe("a host key", () => {
  const explain = (connection: SshConnection, stderr: string, offered?: string) =>
    explainHostKey(connection, explainSsh(connection, stderr), offered, "Pulumi.lab.yaml").join("\n");

  it("has the fingerprint that ssh-keygen shows", () => {
    expect(fingerprint(PINNED)).toBe("SHA256:0BtnNhPNHVmS7TUYN7ApYmwc5uCj/CPifx1BmRC9IoI");
  });

  it("that is unknown is shown, with the line to add", () => {
    const told = explain(gpu, UNKNOWN, SHOWN);
    expect(told).toContain("nothing vouches for the host key of gpu.example.org");
    expect(told).toContain(`ssh-ed25519 ${fingerprint(SHOWN)}`);
    expect(told).toContain("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
    expect(told).toContain(`add to gpubox:host in Pulumi.lab.yaml:\n    hostKey: ${SHOWN}`);
    expect(told).not.toContain("IS NOT THE ONE");
  });

  it("that is not the pinned one is refused loudly, of whatever type it is", () => {
    for (const stderr of [CHANGED, UNKNOWN]) {
      const told = explain({ ...gpu, hostKey: PINNED }, stderr, SHOWN);
      expect(told).toContain("THE HOST KEY OF gpu.example.org IS NOT THE ONE THAT IS TRUSTED");
      expect(told).toContain(fingerprint(PINNED));
      expect(told).toContain(fingerprint(SHOWN));
      expect(told).not.toContain("nothing vouches");
    }
  });

  it("that is not the one in a file of host keys is refused loudly, and the file is named", () => {
    const told = explain(gpu, CHANGED, SHOWN);
    expect(told).toContain("IS NOT THE ONE THAT IS TRUSTED");
    expect(told).toContain("/home/ada/.ssh/known_hosts:1");
    expect(told).not.toContain("hostKey: ");
  });

  it("that could not be read is no reason to trust it", () => {
    const told = explain(gpu, UNKNOWN);
    expect(told).toContain("a key that could not be read");
    expect(told).not.toContain("hostKey: ");
  });
});
