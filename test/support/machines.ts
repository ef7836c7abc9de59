import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  DescribeAddressesCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DescribeVolumesCommand,
  type Instance,
  StopInstancesCommand,
  TerminateInstancesCommand,
  type Volume,
} from "@aws-sdk/client-ec2";
import { execa } from "execa";
import { stringify } from "yaml";
import type { Cloud, Follower } from "./cloud.ts";
import type { Daemon } from "./daemon.ts";
import { copyImages, MACHINE_IMAGE } from "./images.ts";
import { type Metadata, startMetadata } from "./metadata.ts";

/** Label of a machine's container: the instance it is. */
export const INSTANCE_LABEL = "gpubox.test.instance";

const NETWORK = "gpubox-test-internet";
const SUBNET = "192.168.211";

/** What CapBnd in /proc/self/status has for CAP_SYS_RESOURCE, without which nobody grows a file system that is mounted. */
const SYS_RESOURCE = 1n << 24n;

/** Whether a machine can be given it. */
function mayGrow(): boolean {
  const [, bounds = "0"] = /^CapBnd:\s*(\w+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return (BigInt(`0x${bounds}`) & SYS_RESOURCE) !== 0n;
}

/** Machines that follow a cloud. */
export interface Machines extends Follower {
  /** Changes the user data of machines that are made from now on: a way to have a first start fail. */
  alterUserData: (userData: string) => string;
  /** Runs a command on a machine as root; what it printed. */
  run(instance: string, ...command: string[]): Promise<string>;
  /** Names of the containers there are. */
  list(): Promise<string[]>;
  /** Removes everything: machines, volumes, network. */
  end(): Promise<void>;
}

/** Puts machines behind `cloud`. Needs root, for loop devices. */
export async function startMachines(cloud: Cloud, daemon: Daemon): Promise<Machines> {
  const folder = await mkdtemp(join(tmpdir(), "gpubox-machines-"));
  for (const name of ["instances", "disks", "volumes"]) mkdirSync(join(folder, name));
  await daemon.client.createNetwork({
    Name: NETWORK,
    // Nothing goes out through it, so that the way out stays where a machine had it when it started.
    Internal: true,
    IPAM: { Driver: "default", Config: [{ Subnet: `${SUBNET}.0/24`, Gateway: `${SUBNET}.1` }] },
  });
  const metadata = await startMetadata(cloud, daemon.gateway);
  const machines = new Hypervisor(cloud, daemon, metadata, folder);
  cloud.follow(machines);
  return machines;
}

class Hypervisor implements Machines {
  readonly #cloud: Cloud;
  readonly #daemon: Daemon;
  readonly #metadata: Metadata;
  readonly #folder: string;
  /** Whether a machine was last switched on or off, by instance: one that is off and should not be went off by itself. */
  readonly #on = new Map<string, boolean>();
  /** Loop devices, by volume. */
  readonly #loops = new Map<string, string>();
  #work: Promise<void> = Promise.resolve();
  #ended = false;
  alterUserData: Machines["alterUserData"] = (userData) => userData;

  constructor(cloud: Cloud, daemon: Daemon, metadata: Metadata, folder: string) {
    this.#cloud = cloud;
    this.#daemon = daemon;
    this.#metadata = metadata;
    this.#folder = folder;
    void this.#watch();
  }

  reconcile(): Promise<void> {
    // One at a time; one that failed is told to whoever asked, and is no hindrance to the next.
    const next = this.#work.catch(() => {}).then(() => (this.#ended ? undefined : this.#reconcile()));
    this.#work = next;
    return next;
  }

  async freeAddress(): Promise<string> {
    const { Addresses = [] } = await this.#cloud.moto.send(new DescribeAddressesCommand({}));
    const taken = new Set(Addresses.map(({ PublicIp }) => PublicIp));
    for (let host = 100; host < 255; host++) {
      const address = `${SUBNET}.${host}`;
      if (!taken.has(address)) return address;
    }
    throw new Error("no public address is left");
  }

  async run(instance: string, ...command: string[]): Promise<string> {
    const exec = await this.#daemon.client
      .getContainer(instance)
      .exec({ Cmd: command, AttachStdout: true, AttachStderr: true, Tty: true });
    const stream = await exec.start({ Tty: true });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const output = Buffer.concat(chunks).toString().replaceAll("\r\n", "\n");
    const { ExitCode } = await exec.inspect();
    if (ExitCode !== 0)
      throw new Error(`${command.join(" ")} on ${instance} ended with ${ExitCode}: ${output}`);
    return output;
  }

  async list(): Promise<string[]> {
    return (await this.#containers()).map(({ id }) => id);
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#work.catch(() => {});
    for (const { id } of await this.#containers()) await this.#remove(id);
    for (const loop of this.#loops.values()) await execa("losetup", ["--detach", loop], { reject: false });
    this.#metadata.end();
    await this.#daemon.client.getNetwork(NETWORK).remove();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** A machine that was shut down from within changes its instance's state without a call. */
  async #watch(): Promise<void> {
    const filters = { event: ["die"], label: [INSTANCE_LABEL] };
    const events = await this.#daemon.client.getEvents({ filters });
    events.on("data", () => void this.reconcile().catch(() => {}));
    // The daemon ends before us.
    events.on("error", () => {});
  }

  async #reconcile(): Promise<void> {
    const { Reservations = [] } = await this.#cloud.moto.send(new DescribeInstancesCommand({}));
    const { Volumes = [] } = await this.#cloud.moto.send(new DescribeVolumesCommand({}));
    const all = Reservations.flatMap(({ Instances = [] }) => Instances);
    const state = (id: string) =>
      all.find(({ InstanceId }) => InstanceId === id)?.State?.Name ?? "terminated";
    const isOn = new Map((await this.#containers()).map(({ id, running }) => [id, running]));

    for (const [id, running] of isOn) {
      if (state(id) === "running" && !running && this.#on.get(id)) await this.#wentOff(id);
      else if (state(id) === "terminated") await this.#remove(id);
      else if (state(id) === "stopped" && running) await this.#switchOff(id);
    }
    for (const volume of Volumes) await this.#provideVolume(volume, all);
    await this.#dropVolumes(new Set(Volumes.map(({ VolumeId }) => VolumeId ?? "")));
    for (const instance of all) {
      const id = instance.InstanceId ?? "";
      const current = await this.#state(id);
      if (current !== "running") continue;
      const attached = Volumes.filter((volume) => isData(volume, instance));
      await this.#writeVolumes(id, attached);
      if (!isOn.has(id)) await this.#create(instance);
      if (!isOn.get(id)) await this.#switchOn(id, attached);
      await this.#plugVolumes(id, attached);
    }
    await this.#giveAddresses();
  }

  /** Moto's word on an instance now: what went off by itself has just been told to it. */
  async #state(id: string): Promise<string | undefined> {
    const { Reservations } = await this.#cloud.moto.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return Reservations?.[0]?.Instances?.[0]?.State?.Name;
  }

  async #wentOff(id: string): Promise<void> {
    const { InstanceInitiatedShutdownBehavior: behaviour } = await this.#cloud.moto.send(
      new DescribeInstanceAttributeCommand({
        InstanceId: id,
        Attribute: "instanceInitiatedShutdownBehavior",
      }),
    );
    this.#on.set(id, false);
    if (behaviour?.Value === "terminate") {
      await this.#cloud.moto.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
      await this.#remove(id);
    } else {
      await this.#cloud.moto.send(new StopInstancesCommand({ InstanceIds: [id] }));
      this.#cloud.spot.wentOff(id);
    }
  }

  async #switchOff(id: string): Promise<void> {
    this.#on.set(id, false);
    await this.#daemon.client.getContainer(id).stop({ t: 30 });
  }

  async #switchOn(id: string, volumes: Volume[]): Promise<void> {
    for (const [name = "", , minor] of this.#plugs(volumes)) {
      const asked = join(this.#folder, "instances", id, "to-grow", name);
      if (!existsSync(asked)) continue;
      await execa("e2fsck", ["-fp", `/dev/loop${minor}`], { reject: false });
      await execa("resize2fs", [`/dev/loop${minor}`]);
      await rm(asked);
    }
    await this.#daemon.client.getContainer(id).start();
    this.#on.set(id, true);
  }

  async #remove(id: string): Promise<void> {
    this.#on.set(id, false);
    await this.#daemon.client.getContainer(id).remove({ force: true, v: true });
    for (const own of ["instances", "disks"])
      await rm(join(this.#folder, own, id), { recursive: true, force: true });
  }

  /** The machine of an instance, switched off. */
  async #create(instance: Instance): Promise<void> {
    const id = instance.InstanceId ?? "";
    const hypervisor = join(this.#folder, "instances", id);
    await this.#writeSeed(instance, join(hypervisor, "seed"));
    mkdirSync(join(hypervisor, "to-grow"), { recursive: true });
    const resize2fs = fileURLToPath(new URL("../aws/resize2fs", import.meta.url));
    const growing = mayGrow()
      ? []
      : [`${resize2fs}:/usr/local/sbin/resize2fs:ro`, `${join(hypervisor, "to-grow")}:/media/to-grow`];
    // The images and the build cache that the machine's Docker finds at its first start, as those of an AMI. A folder of ours and no
    // volume: a daemon's own data is a mount by itself, and a file in another mount cannot be linked to.
    const docker = join(this.#folder, "disks", id);
    await copyImages("lab", docker);
    const reached = `metadata=${this.#metadata.of(id)}\nendpoint=${this.#metadata.s3}\n`;
    await writeFile(join(hypervisor, "cloud"), reached);
    await this.#daemon.client.createContainer({
      name: id,
      Image: MACHINE_IMAGE,
      Labels: { [INSTANCE_LABEL]: id },
      Hostname: `ip-${(instance.PrivateIpAddress ?? id).replaceAll(".", "-")}`,
      HostConfig: {
        // What systemd and a Docker daemon need, short of everything.
        CapAdd: [
          ...["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "SYS_TIME"],
          ...(mayGrow() ? ["SYS_RESOURCE"] : []),
        ],
        SecurityOpt: ["seccomp=unconfined", "apparmor=unconfined"],
        // The types lack it.
        ...{ CgroupnsMode: "host" },
        Tmpfs: { "/run": "", "/run/lock": "" },
        // Any loop device: which ones are plugged in is decided while it runs.
        DeviceCgroupRules: ["b 7:* rwm"],
        Binds: [
          "/sys/fs/cgroup:/sys/fs/cgroup:rw",
          `${docker}:/var/lib/docker`,
          `${hypervisor}:/media/hypervisor:ro`,
          `${join(hypervisor, "seed")}:/var/lib/cloud/seed/nocloud:ro`,
          ...growing,
        ],
      },
    });
  }

  /** What an instance is told by the metadata service: its id, its key pair, its user data. */
  async #writeSeed(
    { InstanceId = "", KeyName, PrivateIpAddress = "" }: Instance,
    folder: string,
  ): Promise<void> {
    const { UserData } = await this.#cloud.moto.send(
      new DescribeInstanceAttributeCommand({ InstanceId, Attribute: "userData" }),
    );
    const keys = KeyName
      ? await this.#cloud.moto.send(
          new DescribeKeyPairsCommand({ KeyNames: [KeyName], IncludePublicKey: true }),
        )
      : undefined;
    mkdirSync(folder, { recursive: true });
    const userData = this.alterUserData(Buffer.from(UserData?.Value ?? "", "base64").toString());
    await writeFile(join(folder, "user-data"), userData, { mode: 0o600 });
    const metadata = {
      "instance-id": InstanceId,
      "local-hostname": `ip-${PrivateIpAddress.replaceAll(".", "-")}`,
      "public-keys": (keys?.KeyPairs ?? []).flatMap(({ PublicKey }) => PublicKey?.trim() ?? []),
    };
    await writeFile(join(folder, "meta-data"), stringify(metadata, { lineWidth: 0 }));
  }

  /** A loop device for a data volume, of its size; root volumes are the containers' own disks. */
  async #provideVolume(volume: Volume, instances: Instance[]): Promise<void> {
    const { VolumeId = "", Size = 1 } = volume;
    const loop = this.#loops.get(VolumeId);
    if (loop === undefined && !instances.some((instance) => isData(volume, instance))) return;
    const file = join(this.#folder, "volumes", VolumeId);
    const bytes = Size * 2 ** 30;
    await writeFile(file, "", { flag: "a" });
    const grown = (await stat(file)).size < bytes;
    if (grown) await truncate(file, bytes);
    if (loop === undefined)
      this.#loops.set(VolumeId, (await execa("losetup", ["--find", "--show", file])).stdout);
    // It is the same device in a machine, which sees the new size at once.
    else if (grown) await execa("losetup", ["--set-capacity", loop]);
  }

  async #dropVolumes(kept: Set<string>): Promise<void> {
    for (const [id, loop] of this.#loops) {
      if (kept.has(id)) continue;
      await execa("losetup", ["--detach", loop]);
      await rm(join(this.#folder, "volumes", id));
      this.#loops.delete(id);
    }
  }

  /** One line a volume: the arguments of the machine's plug-volume. */
  #plugs(volumes: Volume[]): string[][] {
    return volumes.map(({ VolumeId = "" }, index) => {
      const minor = this.#loops.get(VolumeId)?.replace("/dev/loop", "") ?? "";
      return [`nvme${index + 1}n1`, "7", minor, VolumeId];
    });
  }

  /** For the next time that the machine is switched on. */
  async #writeVolumes(id: string, volumes: Volume[]): Promise<void> {
    const folder = join(this.#folder, "instances", id);
    mkdirSync(folder, { recursive: true });
    const lines = this.#plugs(volumes).map((words) => `${words.join(" ")}\n`);
    await writeFile(join(folder, "volumes"), lines.join(""));
  }

  async #plugVolumes(id: string, volumes: Volume[]): Promise<void> {
    for (const words of this.#plugs(volumes)) await this.run(id, "plug-volume", ...words);
  }

  /** Connects each running machine to its public address, and to no other. */
  async #giveAddresses(): Promise<void> {
    const { Addresses = [] } = await this.#cloud.moto.send(new DescribeAddressesCommand({}));
    const network = this.#daemon.client.getNetwork(NETWORK);
    const wanted = new Map(Addresses.map(({ InstanceId = "", PublicIp = "" }) => [InstanceId, PublicIp]));
    const containers = await this.#containers();
    const connected = containers.filter(({ id, address }) => address && address !== wanted.get(id));
    for (const { id } of connected) await network.disconnect({ Container: id, Force: true });
    for (const { id, address } of containers) {
      const own = wanted.get(id);
      if (!own || own === address) continue;
      await network.connect({ Container: id, EndpointConfig: { IPAMConfig: { IPv4Address: own } } });
    }
  }

  async #containers(): Promise<{ id: string; running: boolean; address: string | undefined }[]> {
    const filters = { label: [INSTANCE_LABEL] };
    const all = await this.#daemon.client.listContainers({ all: true, filters });
    return await Promise.all(
      all.map(async ({ Id, Labels }) => {
        // Each is asked: the list is behind when a container has just ended.
        const { State, NetworkSettings } = await this.#daemon.client.getContainer(Id).inspect();
        const endpoint: Endpoint | undefined = NetworkSettings.Networks[NETWORK];
        return {
          id: Labels[INSTANCE_LABEL] ?? "",
          running: State.Running,
          address: endpoint?.IPAMConfig?.IPv4Address,
        };
      }),
    );
  }
}

/** The types lack it. */
interface Endpoint {
  IPAMConfig?: { IPv4Address?: string };
}

/** Whether a volume is attached to an instance beside its root disk. */
function isData({ Attachments = [] }: Volume, { InstanceId, RootDeviceName }: Instance): boolean {
  return Attachments.some((each) => each.InstanceId === InstanceId && each.Device !== RootDeviceName);
}
