/** A machine on AWS as a host: the order of its first start, what its workspace hangs on, and who loads what. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { hostKey } from "../../../../components/host/aws/host-key.ts";
import { SENTINEL } from "../../../../components/host/aws/user-data.ts";
import { createAwsHost, readPublicKey } from "../../../../components/host/aws.ts";
import { awsHost, FOUND, hostArgs, inspectAccount, LEAST, PUBLIC_KEY } from "../../../support/aws.ts";
import { only, type Recorded, record, resolved } from "../../../support/recorder.ts";
import { recordStack } from "../../../support/stack.ts";

const COMMAND = "command:local:Command";
const recordHost = (parts: Parameters<typeof awsHost>[0] = {}) => record(() => awsHost(parts));
const step = (resources: Recorded[], name: string) => only(resources, COMMAND, `aws-${name}`);

describe("the first start", () => {
  it("goes one step after the other, and nothing connects before the last", async () => {
    const { resources } = await recordHost();
    const attached = ["aws-machine-address-association", "aws-machine-data-attachment"];
    expect(step(resources, "login").dependsOn).toEqual(expect.arrayContaining(attached));
    expect(step(resources, "set-up").dependsOn).toContain("aws-login");
    expect(step(resources, "root-disk").dependsOn).toContain("aws-set-up");
    expect(step(resources, "volume").dependsOn).toContain("aws-root-disk");
    expect(step(resources, "idle-stop").dependsOn).toContain("aws-volume");
    expect(step(resources, "inspection").dependsOn).toContain("aws-idle-stop");
    expect(only(resources, "pulumi:providers:docker").dependsOn).toContain("aws-inspection");
    expect(only(resources, COMMAND, "aws-ssh-root").dependsOn).toContain("aws-inspection");
  });

  it("is gone through again on another machine, another type or another volume", async () => {
    const { resources } = await recordHost();
    for (const part of ["login", "set-up", "root-disk", "volume", "idle-stop", "inspection"]) {
      const { triggers } = step(resources, part).inputs;
      expect(triggers.slice(0, 3)).toEqual(["aws-machine-instance-id", "g6.xlarge", "aws-machine-data-id"]);
    }
  });

  it("grows what is on a disk that has become larger, and does nothing else again then", async () => {
    const { resources } = await recordHost({ found: { ...FOUND, rootSize: 150, dataSize: 200 } });
    const more = (part: string) => step(resources, part).inputs.triggers.slice(3);
    expect(more("root-disk")).toEqual(["150"]);
    expect(more("volume")).toEqual(["200"]);
    for (const part of ["login", "set-up", "idle-stop", "inspection"]) expect(more(part)).toEqual([]);
    expect(step(resources, "root-disk").inputs.stdin).toContain("export ROOT_SIZE=150\n");
    expect(step(resources, "volume").inputs.stdin).toContain("export SIZE=200\n");
  });

  it("trusts no machine but the one with the host key that was made for it", async () => {
    const { resources } = await recordHost();
    const { publicKey } = hostKey("aws-machine-host-key-c0ffee");
    for (const part of ["set-up", "volume", "idle-stop", "inspection"]) {
      const { create } = step(resources, part).inputs;
      expect(create).toContain(publicKey);
      expect(create).toContain("StrictHostKeyChecking=yes");
    }
    const { environment } = step(resources, "login").inputs;
    expect(environment.CONNECT).toContain(publicKey);
    expect(only(resources, "pulumi:providers:docker").inputs.sshOpts.toString()).toContain(publicKey);
  });

  it("logs in anew for what grants the person Docker, so that what follows has it", async () => {
    const { resources } = await recordHost();
    expect(step(resources, "set-up").inputs.create).toMatch(
      /\| ssh -o ControlMaster=no -o ControlPath=none /,
    );
    expect(step(resources, "volume").inputs.create).not.toContain("ControlPath=none");
  });

  it("hands the scripts what they ask for", async () => {
    const { resources } = await recordHost({
      host: hostArgs({ stopAfterIdle: 20, maxUptimeHours: 12 }),
      root: "/data/work",
    });
    expect(step(resources, "set-up").inputs.stdin).toContain(`export SENTINEL=${SENTINEL}\nexport GPU=1\n`);
    expect(step(resources, "volume").inputs.stdin).toContain(
      "export ROOT=/data/work\nexport VOLUME=aws-machine-data-id\n",
    );
    expect(step(resources, "idle-stop").inputs.stdin).toContain(
      "export STOP_AFTER=20\nexport MAX_HOURS=12\nexport GPU=1\n",
    );
  });

  it("asks for no GPU on a type without one", async () => {
    const { resources } = await recordHost({ found: { ...FOUND, gpu: false } });
    for (const part of ["set-up", "idle-stop"])
      expect(step(resources, part).inputs.stdin).toContain("export GPU=''\n");
  });
});

describe("by Session Manager", () => {
  const host = hostArgs({ access: "session-manager", sshCidr: undefined, profile: "lab" });
  const found = { ...FOUND, sshCidr: undefined };

  it("ssh goes through AWS to the instance, and checks the host key all the same", async () => {
    const { resources, result } = await record(async () => await resolved(awsHost({ host, found }).machine));
    const proxyCommand =
      "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p --region us-east-1 --profile lab";
    expect(result.connection).toMatchObject({
      address: "aws-machine-instance-id",
      proxyCommand,
      hostKey: hostKey("aws-machine-host-key-c0ffee").publicKey,
    });
    const { environment } = step(resources, "login").inputs;
    expect(environment.ADDRESS).toBe("aws-machine-instance-id");
    expect(environment.CONNECT).toContain(`'ProxyCommand=${proxyCommand}'`);
    expect(environment.CONNECT).toContain("StrictHostKeyChecking=yes");
    const docker = only(resources, "pulumi:providers:docker").inputs;
    expect(docker.host).toBe("ssh://ubuntu@aws-machine-instance-id");
    expect(docker.sshOpts.toString()).toContain(`ProxyCommand=${proxyCommand}`);
  });

  it("nothing is open, and the machine may speak to Session Manager and no more", async () => {
    const { resources } = await recordHost({ host, found });
    expect(resources.filter(({ type }) => type.includes("IngressRule"))).toEqual([]);
    const attachment = only(resources, "aws:iam/rolePolicyAttachment:RolePolicyAttachment");
    expect(attachment.inputs).toEqual({
      role: "aws-machine-role",
      policyArn: "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    });
    const other = await recordHost();
    expect(other.resources.filter(({ type }) => type.includes("RolePolicyAttachment"))).toEqual([]);
  });

  it("asks nobody for the person's address", async () => {
    const { result } = await inspectAccount({ access: "session-manager", sshCidr: undefined });
    expect(result.sshCidr).toBeUndefined();
  });

  it("names the program that is missing here, before anything is made", async () => {
    vi.stubEnv("PATH", "/nowhere");
    onTestFinished(() => void vi.unstubAllEnvs());
    const key = join(mkdtempSync(join(tmpdir(), "gpubox-test-")), "key");
    onTestFinished(() => rmSync(dirname(key), { recursive: true }));
    writeFileSync(`${key}.pub`, PUBLIC_KEY);
    const create = createAwsHost("aws", { host: { ...host, key }, root: "~/x", stack: "a/b", dataUrls: [] });
    await expect(create).rejects.toThrow(/needs the program aws on this machine.*nothing was created/);
  });
});

describe("data from S3", () => {
  it("is put there by its own script", async () => {
    const raw = { host: LEAST, data: [{ url: "s3://pets/v1" }] };
    const { resources } = await recordStack(raw, undefined, "aws");
    const { stdin } = only(resources, COMMAND, "data-v1-download").inputs;
    expect(stdin).toContain("export URL=s3://pets/v1\nexport FOLDER=v1\n");
    expect(stdin).toContain("# ==== gpubox_data.s3 ====");
  });
});

describe("what lives on the machine", () => {
  it("is made again on another one, and forgotten when it goes", async () => {
    const { resources } = await recordStack({}, undefined, "aws");
    const onDaemon = resources.filter(({ type }) => type.startsWith("docker:"));
    expect(onDaemon).toHaveLength(4);
    for (const { deletedWith, replaceWith } of onDaemon) {
      // Known to the engine as deleted whether the instance goes for good, or for another to come.
      expect(deletedWith).toMatch(/::aws-machine-life$/);
      expect(replaceWith).toEqual([expect.stringMatching(/::aws-machine-instance$/)]);
    }
    const life = only(resources, COMMAND, "aws-machine-life");
    expect(life.inputs).toEqual({ triggers: ["aws-machine-instance-id"] });
  });

  it("says where it is and what it costs", async () => {
    const { result } = await record(async () => await resolved(awsHost().machine));
    expect(result).toEqual({
      instance: "aws-machine-instance-id",
      dataVolume: "aws-machine-data-id",
      connection: {
        address: "198.51.100.7",
        user: "ubuntu",
        key: "~/.ssh/id_ed25519",
        hostKey: hostKey("aws-machine-host-key-c0ffee").publicKey,
      },
      cost: { running: "$0.83/h", stopped: "$19.65/month", source: "list prices of 2026-08" },
    });
  });

  it("is reached by a tunnel, on the person's own loopback", async () => {
    const { result } = await record(async () => {
      const host = awsHost();
      return [await resolved(host.address), await resolved(host.tunnelCommand([8888]))];
    });
    expect(result[0]).toBe("127.0.0.1");
    expect(result[1]).toContain("-L 8888:127.0.0.1:8888");
    expect(result[1]).toContain("198.51.100.7");
  });
});

describe("the person's public key", () => {
  let home: string;
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), "gpubox-test-"));
  });
  afterAll(() => rmSync(home, { recursive: true }));

  it("is read from beside the private one", async () => {
    writeFileSync(join(home, "good.pub"), `${PUBLIC_KEY}\n`);
    expect(await readPublicKey("~/good", home)).toBe(PUBLIC_KEY);
  });

  it("is asked for, with the command, where there is none", async () => {
    await expect(readPublicKey("~/none", home)).rejects.toThrow(
      /gpubox:host\.key.*ssh-keygen -t ed25519 -f ~\/none/,
    );
  });

  it.each([
    ["a kind that EC2 does not take", "ecdsa-sha2-nistp256 AAAA ada\n"],
    ["a private key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"],
    ["several keys", `${PUBLIC_KEY}\n${PUBLIC_KEY}\n`],
  ])("is refused when it is %s", async (_name, text) => {
    writeFileSync(join(home, "bad.pub"), text);
    await expect(readPublicKey("~/bad", home)).rejects.toThrow("not an ed25519 or RSA key");
  });
});

describe("what speaks to AWS", () => {
  /** The modules that a program has loaded once its configuration is read and its host is looked for. */
  const loaded = (host: object) => {
    const program = `
      import { registerHooks } from "node:module";
      const seen = new Set();
      registerHooks({ load(url, context, next) { seen.add(url); return next(url, context); } });
      const pulumi = (await import("@pulumi/pulumi")).default;
      await pulumi.runtime.setMocks({ call: () => { throw new Error("stop here"); }, newResource: ({ name, inputs }) => ({ id: name, state: inputs }) });
      const { createHost } = await import("./components/host/index.ts");
      const { parseConfig } = await import("./config/schema.ts");
      const { host, root, notebooks } = parseConfig(${JSON.stringify({ host, notebooks: [{ name: "container1", gpus: "none", port: 18899 }] })}, "dev");
      await createHost({ host, root, needs: { stack: "gpubox/dev", notebooks }, dataUrls: [] }).catch(() => {});
      console.log(JSON.stringify([...seen].filter((url) => /@pulumi\\/aws\\/|@aws-sdk|components\\/host\\/aws\\.ts/.test(url))));
      process.exit(0);`;
    const out = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
      cwd: new URL("../../../..", import.meta.url),
      env: { ...process.env, DOCKER_HOST: "unix:///nowhere/docker.sock" },
    });
    return JSON.parse(out.trim().split("\n").at(-1) ?? "") as string[];
  };

  it("is not loaded for another host, and is for this one", () => {
    expect(loaded({ kind: "local" })).toEqual([]);
    expect(loaded(LEAST).join()).toMatch(/host\/aws\.ts.*@pulumi\/aws\//s);
  });
});
