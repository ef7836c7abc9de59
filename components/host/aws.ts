/** A GPU instance on AWS as a host: made by the stack, then used as any machine that is reached by SSH. */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { promisify } from "node:util";
import type * as aws from "@pulumi/aws";
import * as command from "@pulumi/command";
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { AwsHostArgs as AwsHostConfig } from "../../config/host/aws.ts";
import { UserError } from "../../errors.ts";
import { askPrices } from "../../machine/aws/ask-prices.ts";
import { type S3Prefix, s3Prefixes } from "../../machine/aws/permissions.ts";
import { type AskedPrices, type Priced, priceLine, priceTexts } from "../../machine/aws/prices.ts";
import type { RegistryAuth } from "../../machine/docker/registry-login.ts";
import { type GpuInventory, INSPECT_ARGS } from "../../machine/gpus.ts";
import { machineOf, type RunsAs } from "../../machine/inspection.ts";
import type { MachineInfo } from "../../machine/outputs.ts";
import { type HostScript, lastLine, scriptCommand, scriptText } from "../../machine/scripts.ts";
import { loginCommand, newLoginScript, remoteScript, type SshConnection } from "../../machine/ssh/command.ts";
import { shellLine } from "../../text/shell.ts";
import { type AwsFindings, inspectAws } from "./aws/inspect.ts";
import { readKnown } from "./aws/known.ts";
import { AwsMachine, awsProvider } from "./aws/machine.ts";
import { SENTINEL } from "./aws/user-data.ts";
import type { DockerHost, HostRun, HostScriptArgs } from "./host.ts";
import { SshHost, scriptWith } from "./ssh.ts";

/** What an `AwsHost` is made from. */
export interface AwsHostArgs {
  host: AwsHostConfig;
  /** What the account was found to have, and what was chosen by it. */
  found: AwsFindings;
  /** What AWS's own price list says; undefined where it cannot be asked. */
  asked?: AskedPrices | undefined;
  /** The person's public key, one line. */
  publicKey: string;
  /** What the machine may read of S3. */
  s3: S3Prefix[];
  /** Folder there that holds `code/` and `data/`; may start with `~/`. The data volume is mounted there. */
  root: string;
  /** `<project>/<stack>`: the tag on everything. */
  stack: string;
  /** The owner of what the stack has already, if it has anything; see owner.ts. */
  owner?: string;
  /** The login that the image is pulled with, where there is one. */
  registryAuth?: RegistryAuth;
  provider: aws.Provider;
}

/** Longest wait for a step of a machine's first start, in seconds. */
const PATIENCE_SECONDS = { login: 600, setUp: 900, volume: 120 };

/** An EC2 GPU instance. */
export class AwsHost extends pulumi.ComponentResource implements DockerHost {
  readonly provider: docker.Provider;
  readonly id: pulumi.Output<string>;
  readonly address: pulumi.Output<string>;
  readonly root: pulumi.Output<string>;
  readonly runsAs: pulumi.Output<RunsAs>;
  readonly home: pulumi.Output<string | undefined>;
  readonly platform: pulumi.Output<string>;
  readonly gpus: pulumi.Output<GpuInventory>;
  /** Every image that a machine of ours is made from has it, and git: cloud-init is written in it. */
  readonly hasPython = true;
  readonly owner: pulumi.Output<string>;
  readonly lifetime: DockerHost["lifetime"];
  readonly machine: pulumi.Output<MachineInfo>;
  readonly #ssh: SshHost;

  constructor(name: string, args: AwsHostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:host:AwsHost", name, {}, opts);
    const { host, root, stack } = args;
    const child = { parent: this };

    const machine = new AwsMachine(`${name}-machine`, args, child);
    const connection = pulumi
      .all([machine.address, machine.instance.id, machine.hostPublicKey])
      .apply(([address, instance, hostKey]): SshConnection => {
        const login = { user: host.user, key: host.key, hostKey };
        return host.access === "ssh"
          ? { address, ...login }
          : { address: instance, ...login, proxyCommand: sessionCommand(host) };
      });
    const inspected = firstStart(name, args, machine, connection, this);

    // On the daemon of a machine of one's own everything goes with the machine.
    this.lifetime = machine.lifetime;
    this.#ssh = new SshHost(
      `${name}-ssh`,
      {
        // Nobody connects before the machine is ready.
        connection: pulumi.all([connection, inspected]).apply(([to]) => to),
        root,
        stack,
        owner: args.owner,
        registryAuth: args.registryAuth,
        machine: inspected.apply((line) => machineOf(JSON.parse(line))),
        hasPython: this.hasPython,
        lifetime: this.lifetime,
      },
      child,
    );
    this.provider = this.#ssh.provider;
    this.id = this.#ssh.id;
    this.address = this.#ssh.address;
    this.root = this.#ssh.root;
    this.runsAs = this.#ssh.runsAs;
    this.home = this.#ssh.home;
    this.platform = this.#ssh.platform;
    this.gpus = this.#ssh.gpus;
    this.owner = this.#ssh.owner;
    this.machine = pulumi
      .all([machine.instance.id, machine.dataVolume, connection])
      .apply(([instance, dataVolume, to]) => ({
        instance,
        dataVolume,
        connection: to,
        cost: priceTexts(priced(args), args.asked),
      }));
    this.registerOutputs({ machine: this.machine });
  }

  run(name: string, args: HostScriptArgs, opts: pulumi.ComponentResourceOptions): HostRun {
    return this.#ssh.run(name, args, opts);
  }

  dockerCommand(args: string): pulumi.Output<string> {
    return this.#ssh.dockerCommand(args);
  }

  tunnelCommand(ports: number[]): pulumi.Output<string> {
    return this.#ssh.tunnelCommand(ports);
  }
}

/**
 * What is done on a machine until a workspace can be put there: the first login, its own set-up, the data volume, the idle stop.
 *
 * @returns what `inspect.sh` says of it in the end
 */
function firstStart(
  name: string,
  { host, found, root }: AwsHostArgs,
  machine: AwsMachine,
  connection: pulumi.Output<SshConnection>,
  parent: pulumi.Resource,
): pulumi.Output<string> {
  const gpu = found.gpu ? "1" : "";
  // Another type in the place of the old one is the same instance, with other GPUs.
  const everyTime = [machine.instance.id, found.instanceType, machine.dataVolume];
  const interpreter = ["/bin/sh", "-c"];

  const login = new command.local.Command(
    `${name}-login`,
    {
      stdin: scriptText("wait-for-ssh.sh"),
      create: scriptCommand("wait-for-ssh.sh"),
      interpreter,
      environment: {
        CONNECT: connection.apply(loginCommand),
        ADDRESS: connection.apply(({ address }) => address),
        TIMEOUT: String(PATIENCE_SECONDS.login),
      },
      triggers: everyTime,
    },
    { parent, dependsOn: machine.attachments },
  );
  const step = (
    part: string,
    script: HostScript,
    environment: HostScriptArgs["environment"],
    before: pulumi.Resource,
    { how = remoteScript, triggers = [] }: { how?: typeof remoteScript; triggers?: string[] } = {},
  ) =>
    new command.local.Command(
      `${name}-${part}`,
      {
        stdin: scriptWith(script, environment),
        create: connection.apply(how),
        interpreter,
        triggers: [...everyTime, ...triggers],
      },
      { parent, dependsOn: [before] },
    );
  const setUp = step(
    "set-up",
    "wait-for-machine.sh",
    { SENTINEL, GPU: gpu, TIMEOUT: String(PATIENCE_SECONDS.setUp) },
    login,
    // A shared login would go on without what was granted in the course of it.
    { how: newLoginScript },
  );
  // AWS makes a disk larger, and not what is on it: that is done here, whenever its size is another. The system disk first, as it may be
  // full.
  const rootSize = String(found.rootSize);
  const rootDisk = step(
    "root-disk",
    "grow-root.sh",
    { ROOT_SIZE: rootSize, TIMEOUT: String(PATIENCE_SECONDS.volume) },
    setUp,
    { triggers: [rootSize] },
  );
  const size = String(found.dataSize);
  const volume = step(
    "volume",
    "mount-volume.sh",
    { ROOT: root, VOLUME: machine.dataVolume, SIZE: size, TIMEOUT: String(PATIENCE_SECONDS.volume) },
    rootDisk,
    { triggers: [size] },
  );
  const idleStop = step(
    "idle-stop",
    "install-idle-stop.sh",
    {
      CHECK: readFileSync(new URL("../../host-scripts/idle-check.py", import.meta.url), "utf8"),
      STOP_AFTER: String(host.stopAfterIdle),
      MAX_HOURS: String(host.maxUptimeHours ?? ""),
      GPU: gpu,
    },
    volume,
  );
  return step("inspection", "inspect.sh", { ROOT: root, ...INSPECT_ARGS }, idleStop).stdout.apply(lastLine);
}

/** The command by which ssh reaches an instance through Session Manager: `%h` and `%p` are for ssh to fill in. */
function sessionCommand({ region, profile }: AwsHostConfig): string {
  const session =
    "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p";
  return shellLine([...session.split(" "), "--region", region, ...(profile ? ["--profile", profile] : [])]);
}

/** Session Manager's own tools, without which ssh gets no further. @throws UserError where one is missing */
async function requireSessionTools(): Promise<void> {
  for (const [program, guide] of SESSION_TOOLS) {
    await promisify(execFile)(program, ["--version"]).catch(() => {
      throw new UserError(
        `gpubox:host.access: session-manager needs the program ${program} on this machine: ${guide}; nothing was created`,
      );
    });
  }
}

const SESSION_TOOLS = [
  ["aws", "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"],
  [
    "session-manager-plugin",
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html",
  ],
] as const;

/** What is paid for. */
function priced({ host, found }: Pick<AwsHostArgs, "host" | "found">): Priced {
  return {
    region: host.region,
    instanceType: found.instanceType,
    spot: host.spot,
    volumes: found.rootSize + found.dataSize,
  };
}

/** What `createAwsHost` takes. */
export interface CreateAwsHostArgs
  extends Pick<AwsHostArgs, "host" | "root" | "stack" | "owner" | "registryAuth"> {
  /** Urls that data comes from. */
  dataUrls: string[];
}

/**
 * Looks the account over, says what the stack will cost, and declares it.
 *
 * @throws UserError before any resource is registered, when the stack cannot be made as it is configured
 */
export async function createAwsHost(name: string, args: CreateAwsHostArgs): Promise<AwsHost> {
  const publicKey = await readPublicKey(args.host.key);
  if (args.host.access === "session-manager") await requireSessionTools();
  const known = await readKnown();
  const provider = awsProvider(`${name}-provider`, args.host);
  const found = await inspectAws({ host: args.host, known, stack: args.stack, provider });
  const { region, profile } = args.host;
  const asked = await askPrices({ region, profile, instanceType: found.instanceType });
  await pulumi.log.info(`price: ${priceLine(priced({ host: args.host, found }), asked)}`);
  return new AwsHost(name, { ...args, s3: s3Prefixes(args.dataUrls), found, asked, publicKey, provider });
}

/** The public half of the person's key. @throws UserError when there is none that EC2 takes */
export async function readPublicKey(key: string, home = homedir()): Promise<string> {
  const file = `${key.replace(/^~(?=\/)/, home)}.pub`;
  const text = await readFile(file, "utf8").catch(() => {
    throw new UserError(
      `gpubox:host.key: there is no public key ${file}: create a pair with \`ssh-keygen -t ed25519 -f ${key}\`; nothing was created`,
    );
  });
  const line = text.trim();
  if (/^ssh-(ed25519|rsa) [A-Za-z0-9+/]+=*( |$)/.test(line) && !line.includes("\n")) return line;
  throw new UserError(
    `gpubox:host.key: ${file} is not an ed25519 or RSA key, the only kinds that EC2 accepts: create one with \`ssh-keygen -t ed25519\`; nothing was created`,
  );
}
