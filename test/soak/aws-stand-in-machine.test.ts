/** The machines that stand for EC2's, by themselves: what a stack on AWS is tried on must behave as the real ones do. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AllocateAddressCommand,
  AssociateAddressCommand,
  AttachVolumeCommand,
  CancelSpotInstanceRequestsCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeInstancesCommand,
  DescribeSpotInstanceRequestsCommand,
  ImportKeyPairCommand,
  ModifyVolumeCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { AMI, type Cloud, REGION, startCloud } from "../support/cloud.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { type Machines, startMachines } from "../support/machines.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const ZONE = `${REGION}a`;

describeWithDaemon("a machine of the tests' cloud", () => {
  const keys = mkdtempSync(join(tmpdir(), "gpubox-keys-"));
  let daemon: Daemon;
  let cloud: Cloud;
  let machines: Machines;
  let host: { privateKey: string; publicKey: string };
  let instance: string;
  let volume: string;
  let address: string;
  let allocation: string;

  beforeAll(async () => {
    daemon = await startDaemon();
    cloud = await startCloud();
    machines = await startMachines(cloud, daemon);
    host = await keyPair("host");
    const login = await keyPair("login");
    const PublicKeyMaterial = Buffer.from(login.publicKey);
    await cloud.ec2.send(new ImportKeyPairCommand({ KeyName: "login", PublicKeyMaterial }));
  });

  afterAll(async () => {
    await machines?.end();
    await cloud?.end();
    await daemon?.end();
    rmSync(keys, { recursive: true, force: true });
  });

  async function keyPair(name: string) {
    const file = join(keys, name);
    await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file]);
    const { stdout: publicKey } = await execa("cat", [`${file}.pub`]);
    const { stdout: privateKey } = await execa("cat", [file]);
    return { privateKey, publicKey };
  }

  async function launch(): Promise<string> {
    const indented = host.privateKey.replaceAll(/^/gm, "    ");
    const userData = [
      "#cloud-config",
      "ssh_deletekeys: true",
      "ssh_keys:",
      "  ed25519_private: |",
      indented,
      `  ed25519_public: ${host.publicKey}`,
      "runcmd:",
      "  - touch /var/lib/booted",
      "",
    ].join("\n");
    const { Instances } = await cloud.ec2.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        ImageId: AMI,
        InstanceType: "g6.xlarge",
        KeyName: "login",
        Placement: { AvailabilityZone: ZONE },
        UserData: Buffer.from(userData).toString("base64"),
        InstanceInitiatedShutdownBehavior: "stop",
      }),
    );
    return Instances?.[0]?.InstanceId ?? "";
  }

  const associate = (InstanceId: string) =>
    cloud.ec2.send(new AssociateAddressCommand({ AllocationId: allocation, InstanceId }));

  const attach = (InstanceId: string, VolumeId: string) =>
    cloud.ec2.send(new AttachVolumeCommand({ InstanceId, VolumeId, Device: "/dev/sdf" }));

  /** Runs a command over SSH, waiting for the machine to be up; the host key is that of the user data, or it fails. */
  async function ssh(command: string): Promise<string> {
    const known = join(keys, "known_hosts");
    await execa("tee", [known], { input: `${address} ${host.publicKey}`, stdout: "ignore" });
    const options = [
      `UserKnownHostsFile=${known}`,
      "StrictHostKeyChecking=yes",
      "BatchMode=yes",
      "ConnectTimeout=3",
    ];
    const args = ["-F", "none", "-i", join(keys, "login"), ...options.flatMap((option) => ["-o", option])];
    for (let tries = 0; ; tries++) {
      const result = await execa("ssh", [...args, `ubuntu@${address}`, command], { reject: false });
      if (result.exitCode === 0) return result.stdout;
      if (tries > 30 || result.exitCode !== 255) throw new Error(`${command}: ${result.stderr}`);
      await sleep(1000);
    }
  }

  async function state(id: string): Promise<string | undefined> {
    const { Reservations } = await cloud.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return Reservations?.[0]?.Instances?.[0]?.State?.Name;
  }

  it("boots with its user data, and lets in who has the key at its public address", async () => {
    instance = await launch();
    const allocated = await cloud.ec2.send(new AllocateAddressCommand({ Domain: "vpc" }));
    address = allocated.PublicIp ?? "";
    allocation = allocated.AllocationId ?? "";
    await associate(instance);
    expect(await ssh("cloud-init status --wait && ls /var/lib/booted && id -un")).toContain(
      "/var/lib/booted\nubuntu",
    );
    expect(await ssh("cloud-init status --long")).toMatch(/^status: done/);
    expect(await ssh("systemctl --failed --no-legend")).toBe("");
    expect(await ssh("sudo id -u")).toBe("0");
  });

  it("has a Docker daemon of its own, with the base image, and a GPU by its looks", async () => {
    expect(await ssh("docker run --rm debian:bookworm-slim cat /etc/debian_version")).toMatch(/^12\./);
    const gpus = "--gpus all --rm debian:bookworm-slim echo accepted";
    expect(await ssh(`docker run ${gpus}`)).toBe("accepted");
    expect(await ssh("nvidia-smi --query-gpu=index,name --format=csv,noheader")).toBe("0, NVIDIA L4");
    expect(await ssh("docker ps --all --quiet")).toBe("");
  });

  it("finds its volume by id, empty at first, and mounts it again at every start", async () => {
    const created = await cloud.ec2.send(
      new CreateVolumeCommand({ AvailabilityZone: ZONE, Size: 1, VolumeType: "gp3", Encrypted: true }),
    );
    volume = created.VolumeId ?? "";
    await attach(instance, volume);
    const device = `/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volume.replace("-", "")}`;
    expect(await ssh(`sudo blkid -p ${device} || echo $?`)).toBe("2");
    await ssh(
      [
        `sudo mkfs.ext4 -q ${device}`,
        `echo UUID=$(sudo blkid -p -s UUID -o value ${device}) /data ext4 defaults,nofail 0 2 | sudo tee -a /etc/fstab`,
        `sudo mkdir /data && sudo mount ${device} /data && echo kept | sudo tee /data/file && echo on-root | sudo tee /root-file`,
      ].join(" && "),
    );

    await cloud.ec2.send(new StopInstancesCommand({ InstanceIds: [instance] }));
    expect(await state(instance)).toBe("stopped");
    await expect(machines.run(instance, "true")).rejects.toThrow("not running");
    await cloud.ec2.send(new StartInstancesCommand({ InstanceIds: [instance] }));
    expect(await ssh("cat /data/file /root-file && findmnt -no FSTYPE /data")).toBe("kept\non-root\next4");
  });

  it("sees at once that its volume has grown", async () => {
    expect(await ssh("sudo blockdev --getsize64 /dev/nvme1n1")).toBe(String(2 ** 30));
    await cloud.ec2.send(new ModifyVolumeCommand({ VolumeId: volume, Size: 2 }));
    expect(await ssh("sudo blockdev --getsize64 /dev/nvme1n1")).toBe(String(2 * 2 ** 30));
    await ssh("sudo resize2fs /dev/nvme1n1");
    // It has grown by now, or does before the machine is there again.
    await cloud.ec2.send(new StopInstancesCommand({ InstanceIds: [instance] }));
    await cloud.ec2.send(new StartInstancesCommand({ InstanceIds: [instance] }));
    expect(Number(await ssh("df --output=size -B1 /data | tail -1"))).toBeGreaterThan(1.5 * 2 ** 30);
    expect(await ssh("cat /data/file")).toBe("kept");
  });

  it("is stopped by EC2 where that interrupts it, and comes up again when EC2 starts it", async () => {
    const { Instances } = await cloud.ec2.send(
      new RunInstancesCommand({
        ...{ MinCount: 1, MaxCount: 1, ImageId: AMI, InstanceType: "g6.xlarge" },
        InstanceMarketOptions: {
          MarketType: "spot",
          SpotOptions: { SpotInstanceType: "persistent", InstanceInterruptionBehavior: "stop" },
        },
      }),
    );
    const spot = Instances?.[0]?.InstanceId ?? "";
    expect(await machines.run(spot, "hostname")).toMatch(/^ip-/);
    await cloud.spot.interrupt(spot);
    await expect(machines.run(spot, "true")).rejects.toThrow("not running");
    await cloud.spot.resume(spot);
    expect(await machines.run(spot, "hostname")).toMatch(/^ip-/);
    const { SpotInstanceRequests } = await cloud.ec2.send(new DescribeSpotInstanceRequestsCommand({}));
    const SpotInstanceRequestIds = [SpotInstanceRequests?.[0]?.SpotInstanceRequestId ?? ""];
    await cloud.ec2.send(new CancelSpotInstanceRequestsCommand({ SpotInstanceRequestIds }));
    await cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds: [spot] }));
  });

  it("that shuts itself down is stopped, and can be started again", async () => {
    await ssh("sudo shutdown -h now || true");
    await expect.poll(() => state(instance), { timeout: 30_000 }).toBe("stopped");
    await cloud.ec2.send(new StartInstancesCommand({ InstanceIds: [instance] }));
    const images = await ssh("docker images --format '{{.Repository}}'");
    expect(images).toBe("debian");
  });

  it("goes when it is terminated, and its volume and address serve the next one", async () => {
    const first = instance;
    await cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds: [first] }));
    expect(await machines.list()).toEqual([]);
    instance = await launch();
    await attach(instance, volume);
    await associate(instance);
    expect(await machines.list()).toEqual([instance]);
    const device = `/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volume.replace("-", "")}`;
    expect(await ssh(`sudo mount ${device} /mnt && cat /mnt/file && ls /root-file 2>&1 || true`)).toMatch(
      /^kept\nls: cannot access/,
    );
  });

  it("leaves no loop device behind", async () => {
    await cloud.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instance] }));
    await cloud.ec2.send(new DeleteVolumeCommand({ VolumeId: volume }));
    expect(
      (await execa("losetup", ["--list", "--output", "BACK-FILE", "--noheadings"])).stdout,
    ).not.toContain(volume);
  });
});
