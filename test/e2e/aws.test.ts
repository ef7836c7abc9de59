/**
 * A stack on AWS without an account: moto for its interface, containers for its machines. From nothing to a notebook and back,
 * and what goes wrong on the way.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DeleteVolumeCommand,
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DescribeSecurityGroupsCommand,
  DescribeVolumesCommand,
  type Instance,
  TerminateInstancesCommand,
  type Volume,
} from "@aws-sdk/client-ec2";
import { ListInstanceProfilesCommand, ListRolesCommand } from "@aws-sdk/client-iam";
import { execa } from "execa";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { type Cloud, QUOTAS, REGION, startCloud } from "../support/cloud.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { execute, status } from "../support/jupyter.ts";
import { type Machines, startMachines } from "../support/machines.ts";
import { createPerson, type Outcome, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";
import { makeKey } from "../support/ssh-machine.ts";
import { throughTunnel } from "../support/tunnel.ts";

/** `nobody`: ssh asks the system who it is, so it must be an account. */
const UID = 65534;
const STACK = "gpubox/aws";
const GREETING = "hello\n";
const QUOTA = { name: "Running On-Demand G and VT instances", value: 64 };

describeWithDaemon("a stack on AWS", () => {
  const keys = mkdtempSync(join(tmpdir(), "gpubox-keys-"));
  let daemon: Daemon;
  let cloud: Cloud;
  let machines: Machines;
  let person: Person;
  /** What the stack's data comes from: on this machine's end of the machines' network. */
  const files = createServer((_, response) => response.end(GREETING));

  beforeAll(async () => {
    daemon = await startDaemon({ folder: inject("daemonFolder") });
    cloud = await startCloud();
    machines = await startMachines(cloud, daemon);
    person = await createPerson({
      daemon,
      // Whoever rents a machine needs no Docker here.
      dockerHost: "unix:///nonexistent/docker.sock",
      uid: UID,
      env: { ...cloud.env, SSH_AUTH_SOCK: "" },
      path: cloud.plugin,
    });
    files.listen(0, daemon.gateway);
    await once(files, "listening");
    await makeKey(join(keys, "id"));
    const install = ["-m", "600", "-o", String(UID)];
    await execa("install", [...install, join(keys, "id"), join(person.home, "id_gpu")]);
    await execa("install", [...install, join(keys, "id.pub"), join(person.home, "id_gpu.pub")]);
    person.configure(
      {
        host: {
          kind: "aws",
          region: REGION,
          instanceTypes: ["g6.xlarge"],
          sshCidr: "203.0.113.7/32",
          key: "~/id_gpu",
          dataVolume: { size: 1 },
        },
        root: "~/docker_mount",
        image: { target: "lab" },
        data: [
          {
            url: `http://${daemon.gateway}:${(files.address() as AddressInfo).port}/greeting.txt`,
            sha256: createHash("sha256").update(GREETING).digest("hex"),
            folder: "greetings",
          },
        ],
        notebooks: [{ name: "container1" }],
      },
      "aws",
    );
  });

  afterAll(async () => {
    await person?.sh('for at in "$HOME"/.gpubox/ssh/*; do ssh -o ControlPath="$at" -O exit x || :; done');
    await machines?.end();
    await cloud?.end();
    await daemon?.end();
    files.close();
    await person?.remove();
    rmSync(keys, { recursive: true, force: true });
  });

  const start = () => person.npm("start", "-s", "aws");
  const succeeds = ({ exitCode, all }: Outcome) => expect(exitCode, all).toBe(0);
  const fails = ({ exitCode, all }: Outcome, ...messages: RegExp[]) => {
    expect(exitCode, all).not.toBe(0);
    for (const message of messages) expect(all).toMatch(message);
  };
  const mine = { Filters: [{ Name: "tag:gpubox.stack", Values: [STACK] }] };

  async function instances(): Promise<Instance[]> {
    const { Reservations = [] } = await cloud.ec2.send(new DescribeInstancesCommand(mine));
    const all = Reservations.flatMap(({ Instances = [] }) => Instances);
    return all.filter(({ State }) => State?.Name !== "terminated");
  }

  /** Of the stack: the data volume with `role`, every volume without. */
  async function volumes(role?: "data"): Promise<Volume[]> {
    const Filters = [...mine.Filters, ...(role ? [{ Name: "tag:gpubox.role", Values: [role] }] : [])];
    return (await cloud.ec2.send(new DescribeVolumesCommand({ Filters }))).Volumes ?? [];
  }

  /** The stack's address and the instance that has it. Moto forgets it in the instance when that is started. */
  async function address() {
    const { Addresses = [] } = await cloud.ec2.send(new DescribeAddressesCommand(mine));
    return Addresses.map(({ PublicIp, InstanceId }) => ({ PublicIp, InstanceId }));
  }

  /** Everything that the stack made and is still there, data volumes apart. */
  async function leftovers(): Promise<unknown[]> {
    const { Addresses = [] } = await cloud.ec2.send(new DescribeAddressesCommand(mine));
    const { KeyPairs = [] } = await cloud.ec2.send(new DescribeKeyPairsCommand(mine));
    const { SecurityGroups = [] } = await cloud.ec2.send(new DescribeSecurityGroupsCommand(mine));
    const { Roles = [] } = await cloud.iam.send(new ListRolesCommand({}));
    const { InstanceProfiles = [] } = await cloud.iam.send(new ListInstanceProfilesCommand({}));
    const network = [...Addresses, ...KeyPairs, ...SecurityGroups];
    return [...(await instances()), ...network, ...Roles, ...InstanceProfiles];
  }

  it("is not begun where the quota is too small, and says which one to raise", async () => {
    cloud.quotas.set(QUOTAS.onDemandG, { ...QUOTA, value: 0 });
    fails(await start(), /L-DB2E81BA/, /4 vCPUs?/);
    expect(cloud.calls.filter((name) => /^(Create|Run|Allocate)/.test(name))).toEqual([]);
    cloud.quotas.set(QUOTAS.onDemandG, QUOTA);
  });

  it("shows what cloud-init said when the machine's first start fails, and can be taken down then", async () => {
    machines.alterUserData = (text) => text.replaceAll("/var/lib/gpubox/booted", "/proc/gpubox/booted");
    fails(await start(), /cloud-init/, /booted/);
    machines.alterUserData = (text) => text;
    succeeds(await person.npm("destroy", "-s", "aws", "--yes"));
    expect(await leftovers()).toEqual([]);
    for (const { VolumeId } of await volumes()) await cloud.ec2.send(new DeleteVolumeCommand({ VolumeId }));
  });

  it("comes up in the next zone where the first has no capacity, and reports each attempt", async () => {
    cloud.noCapacity.add(`g6.xlarge ${REGION}a`);
    const outcome = await start();
    succeeds(outcome);
    expect(outcome.all).toMatch(
      /attempt 1: no capacity for g6\.xlarge\/us-east-1a \(InsufficientInstanceCapacity\)/,
    );
    expect(outcome.stdout).toContain("npm run tunnel");
    expect(await volumes("data")).toMatchObject([{ AvailabilityZone: `${REGION}b`, State: "in-use" }]);
    const [instance] = await instances();
    expect(instance?.State?.Name).toBe("running");
    expect(instance?.MetadataOptions).toMatchObject({ HttpTokens: "required", HttpPutResponseHopLimit: 1 });
  });

  it("has a notebook behind the tunnel whose files are on the data volume", async () => {
    await throughTunnel(
      person,
      async (url) => {
        expect(await status(url, "/api/contents")).toBe(200);
        const { output, error } = await execute(
          url,
          "open('/code/mine.txt', 'w').write('kept')\nprint(open('/data/greetings/greeting.txt').read(), end='')",
        );
        expect(error).toBeUndefined();
        expect(output).toBe(GREETING);
      },
      "-s aws",
    );
    const [instance] = await instances();
    const where = await machines.run(
      instance?.InstanceId ?? "",
      "findmnt",
      "-no",
      "SOURCE",
      "/home/ubuntu/docker_mount",
    );
    expect(where).toMatch(/^\/dev\/nvme1n1/);
  });

  it("changes nothing the second time", async () => {
    const again = await start();
    succeeds(again);
    expect(again.stdout).toMatch(/^unchanged/m);
    const flags = ["--refresh", "--expect-no-changes", "--non-interactive"];
    succeeds(await person.npm("preview", "-s", "aws", ...flags));
  });

  it("has nothing that the policies object to", async () => {
    const outcome = await person.npm("preview", "-s", "aws", "--policy-pack", "policy");
    succeeds(outcome);
    expect(outcome.all).toMatch(/gpubox.*\(local: policy\)/);
  });

  it("stops and starts again with nothing lost, at the same address", async () => {
    const before = await address();
    succeeds(await person.npm("stop", "-s", "aws"));
    expect((await instances()).map(({ State }) => State?.Name)).toEqual(["stopped"]);
    succeeds(await start());
    expect(await address()).toEqual(before);
    await throughTunnel(
      person,
      async (url) =>
        expect((await execute(url, "print(open('/code/mine.txt').read())")).output).toBe("kept\n"),
      "-s aws",
    );
  });

  it("is made again where the machine is lost, around the data volume", async () => {
    const [before] = await instances();
    const [volume] = await volumes("data");
    await cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds: [before?.InstanceId ?? ""] }));
    succeeds(await start());
    const [after] = await instances();
    expect(after?.InstanceId).not.toBe(before?.InstanceId);
    expect((await volumes("data")).map(({ VolumeId }) => VolumeId)).toContain(volume?.VolumeId);
    await throughTunnel(
      person,
      async (url) =>
        expect((await execute(url, "print(open('/code/mine.txt').read())")).output).toBe("kept\n"),
      "-s aws",
    );
  });

  it("is taken down although its machine is gone, and leaves the data volume alone", async () => {
    const [instance] = await instances();
    await cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instance?.InstanceId ?? ""] }));
    succeeds(await person.npm("destroy", "-s", "aws", "--yes"));
    expect(await leftovers()).toEqual([]);
    expect(await machines.list()).toEqual([]);
    expect(await volumes()).toMatchObject([{ State: "available", Encrypted: true, Size: 1 }]);
    expect(await volumes("data")).toHaveLength(1);
  });
});
