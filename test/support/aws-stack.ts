/** A person with a stack on the tests' cloud, and what is to be known of both. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DescribeSecurityGroupsCommand,
  DescribeVolumesCommand,
  type Instance,
  type Volume,
} from "@aws-sdk/client-ec2";
import { ListInstanceProfilesCommand, ListRolesCommand } from "@aws-sdk/client-iam";
import { execa } from "execa";
import { expect } from "vitest";
import { type Cloud, QUOTAS, type Quota, REGION, startCloud } from "./cloud.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { execute } from "./jupyter.ts";
import { type Machines, startMachines } from "./machines.ts";
import { createPerson, type Outcome, type Person } from "./person.ts";
import { makeKey } from "./ssh-machine.ts";
import { throughTunnel } from "./tunnel.ts";

/** `nobody`: ssh asks the system who it is, so it must be an account. */
const UID = 65534;
const STACK = "gpubox/aws";
/** What is in the data set that every stack here has. */
export const GREETING = "hello\n";
/** Python code for a notebook: puts a file of the person's there, and prints `kept` where it still is. */
export const MINE = {
  write: "open('/code/mine.txt', 'w').write('kept')",
  read: "print(open('/code/mine.txt').read(), end='')",
};

/** Flags of a preview that fails where anything there is not as the configuration says. */
export const NO_CHANGES = ["--refresh", "--expect-no-changes", "--non-interactive"];

/** A stack's cloud, machines and person. */
export interface AwsStack {
  daemon: Daemon;
  cloud: Cloud;
  machines: Machines;
  person: Person;
  /** Writes the configuration: that of `gpubox:host`, what differs from one small machine reached by SSH; and other keys. */
  configure(host?: Record<string, unknown>, config?: Record<string, unknown>): void;
  start(): Promise<Outcome>;
  destroy(): Promise<Outcome>;
  /** Does something while the account may run no machine with a GPU. */
  withoutQuota(use: () => Promise<void>): Promise<void>;
  preview(...flags: string[]): Promise<Outcome>;
  /** Every call so far that makes something. */
  makingCalls(): string[];
  /** Of the stack, those that are not terminated. */
  instances(): Promise<Instance[]>;
  /** Of the stack: the data volume with `role`, every volume without. */
  volumes(role?: "data"): Promise<Volume[]>;
  /** The stack's address and the instance that has it. Moto forgets it in the instance when that is started. */
  address(): Promise<unknown[]>;
  /** Everything that the stack made and is still there, data volumes apart. */
  leftovers(): Promise<unknown[]>;
  /** What Python code in the first notebook prints. */
  inNotebook(code: string): Promise<string>;
  end(): Promise<void>;
}

/** That a command did what it was to do. */
export const succeeds = ({ exitCode, all }: Outcome) => expect(exitCode, all).toBe(0);

/** That a command failed with these messages. */
export const fails = ({ exitCode, all }: Outcome, ...messages: RegExp[]) => {
  expect(exitCode, all).not.toBe(0);
  for (const message of messages) expect(all).toMatch(message);
};

/** @param path put before the person's PATH */
export async function createAwsStack({ path = "" } = {}): Promise<AwsStack> {
  const keys = mkdtempSync(join(tmpdir(), "gpubox-keys-"));
  const daemon = await startDaemon();
  const cloud = await startCloud();
  const machines = await startMachines(cloud, daemon);
  const person = await createPerson({
    daemon,
    // Whoever rents a machine needs no Docker here.
    dockerHost: "unix:///nonexistent/docker.sock",
    uid: UID,
    env: { ...cloud.env, SSH_AUTH_SOCK: "" },
    path: [cloud.plugin, path].filter(Boolean).join(":"),
  });
  // What the stack's data comes from: on this machine's end of the machines' network.
  const files = createServer((_, response) => response.end(GREETING));
  files.listen(0, daemon.gateway);
  await once(files, "listening");
  await makeKey(join(keys, "id"));
  const install = ["-m", "600", "-o", String(UID)];
  await execa("install", [...install, join(keys, "id"), join(person.home, "id_gpu")]);
  await execa("install", [...install, join(keys, "id.pub"), join(person.home, "id_gpu.pub")]);

  const mine = { Filters: [{ Name: "tag:gpubox.stack", Values: [STACK] }] };
  const addresses = async () => (await cloud.ec2.send(new DescribeAddressesCommand(mine))).Addresses ?? [];

  async function instances(): Promise<Instance[]> {
    const { Reservations = [] } = await cloud.ec2.send(new DescribeInstancesCommand(mine));
    const all = Reservations.flatMap(({ Instances = [] }) => Instances);
    return all.filter(({ State }) => State?.Name !== "terminated");
  }

  return {
    daemon,
    cloud,
    machines,
    person,
    instances,
    configure(host = {}, config = {}) {
      const { address, port } = { address: daemon.gateway, port: (files.address() as AddressInfo).port };
      person.configure(
        {
          host: {
            kind: "aws",
            region: REGION,
            instanceTypes: ["g6.xlarge"],
            sshCidr: "203.0.113.7/32",
            key: "~/id_gpu",
            dataVolume: { size: 1 },
            ...host,
          },
          root: "~/docker_mount",
          image: { target: "lab" },
          data: [
            {
              url: `http://${address}:${port}/greeting.txt`,
              sha256: createHash("sha256").update(GREETING).digest("hex"),
              folder: "greetings",
            },
          ],
          // The machine's GPU is one by its looks only, and computes nothing.
          notebooks: [{ name: "container1", gpus: "none" }],
          ...config,
        },
        "aws",
      );
    },
    start: () => person.npm("start", "-s", "aws"),
    destroy: () => person.npm("destroy", "-s", "aws", "--yes"),
    async withoutQuota(use) {
      const quota = cloud.quotas.get(QUOTAS.onDemandG) as Quota;
      cloud.quotas.set(QUOTAS.onDemandG, { ...quota, value: 0 });
      await use();
      cloud.quotas.set(QUOTAS.onDemandG, quota);
    },
    preview: (...flags) => person.npm("preview", "-s", "aws", ...flags),
    makingCalls: () => cloud.calls.filter((name) => /^(Create|Run|Allocate)/.test(name)),
    async volumes(role) {
      const Filters = [...mine.Filters, ...(role ? [{ Name: "tag:gpubox.role", Values: [role] }] : [])];
      return (await cloud.ec2.send(new DescribeVolumesCommand({ Filters }))).Volumes ?? [];
    },
    address: async () => (await addresses()).map(({ PublicIp, InstanceId }) => ({ PublicIp, InstanceId })),
    async leftovers() {
      const { KeyPairs = [] } = await cloud.ec2.send(new DescribeKeyPairsCommand(mine));
      const { SecurityGroups = [] } = await cloud.ec2.send(new DescribeSecurityGroupsCommand(mine));
      const { Roles = [] } = await cloud.iam.send(new ListRolesCommand({}));
      const { InstanceProfiles = [] } = await cloud.iam.send(new ListInstanceProfilesCommand({}));
      const network = [...(await addresses()), ...KeyPairs, ...SecurityGroups];
      return [...(await instances()), ...network, ...Roles, ...InstanceProfiles];
    },
    async inNotebook(code) {
      let printed = "";
      await throughTunnel(
        person,
        async (url) => {
          const { output, error } = await execute(url, code);
          expect(error).toBeUndefined();
          printed = output;
        },
        "-s aws",
      );
      return printed;
    },
    async end() {
      await person.sh('for at in "$HOME"/.gpubox/ssh/*; do ssh -o ControlPath="$at" -O exit x || :; done');
      await machines.end();
      await cloud.end();
      await daemon.end();
      files.close();
      await person.remove();
      rmSync(keys, { recursive: true, force: true });
    },
  };
}
