/** Reading what `host-scripts/inspect.sh` says of a machine. Pure. */
import type { ExistingContainer, HostFacts, HostNeeds } from "./facts.ts";
import { type GpuFindings, type GpuInventory, gpuInventory } from "./gpus.ts";
import { type Existing, existing, MADE_BY_LABEL, OWNER_LABEL, STACK_LABEL } from "./owner.ts";
import { isEnough } from "./python.ts";
import { howToFind } from "./ssh/failure.ts";

/** What was found out about a machine that can serve a stack. */
export interface Machine {
  /** Identity of the Docker daemon. */
  id: string;
  /** Platform of its images, e.g. `linux/amd64`. */
  platform: string;
  /** Who the person is in a container there. */
  runsAs: RunsAs;
  /** Home folder of the person; undefined where that is not known. */
  home?: string;
  gpus: GpuInventory;
  /** Whether it has the Python that the data program takes. */
  hasPython: boolean;
}

/** What of `docker info` is read here. */
export interface DockerInfo {
  ID?: string;
  /** Where it keeps images and volumes. */
  DockerRootDir?: string;
  /** As the kernel calls it, e.g. `x86_64`. */
  Architecture?: string;
  ServerVersion?: string;
  CgroupDriver?: string;
  /** Bytes. */
  MemTotal?: number;
  Runtimes?: Record<string, unknown> | null;
  DiscoveredDevices?: { ID?: string }[] | null;
  ServerErrors?: string[];
  /** How it keeps containers apart, e.g. `name=rootless`. */
  SecurityOptions?: string[] | null;
}

/** Something on the daemon, with the values of its labels; empty where it has no such label. */
interface Listed {
  name: string;
  stack: string;
  owner: string;
  madeBy: string;
}

interface ListedContainer extends Listed {
  ports: string;
  status?: string;
  mounts?: string;
}

/** The line that `inspect.sh` prints. */
export interface Inspection {
  user: string;
  /** Groups of the person whose files notebooks may use; see groups.sh. */
  groups?: number[];
  /** Home folder of the person. */
  home?: string;
  /** Path of the person's login shell. */
  shell?: string;
  docker: /** `elsewhere` is where the command is, outside the PATH that a command over SSH has. */
    | { missing: true; elsewhere?: string | null }
    | {
        info: DockerInfo | null;
        containers: ListedContainer[];
        networks: Listed[];
        volumes: Listed[];
        /** What the docker command said is wrong. */
        error: string;
      };
  driver: GpuFindings["driver"];
  toolkitHook: boolean;
  /** Sockets that listen, as in /proc/net/tcp: `0100007F:22B8`. */
  listening: string[];
  /** IPv4 addresses of the machine; null where that cannot be found out. */
  addresses: string[] | null;
  /** The root as an absolute path, and which of the folders that the notebooks are given are not there. */
  folders?: { root: string; missing: string[] };
  /** Free megabytes where Docker and where the stack's root keep their files. */
  free: { docker: number | null; root: number | null };
  /** Version of its Python; null where it has none. */
  python?: string | null;
  git?: boolean;
  /** Its clock, in seconds since the epoch. */
  time?: number;
}

/** Why the Docker daemon of an inspected machine cannot be used, with the step that failed; undefined when it can. */
export function dockerProblem({ docker, shell }: Inspection): { step: string; tell: string } | undefined {
  if ("missing" in docker) {
    if (docker.elsewhere) {
      return {
        step: "Docker not there",
        tell: `its \`docker\` is ${docker.elsewhere}, where commands over SSH do not find it; ${howToFind(docker.elsewhere, shell)}`,
      };
    }
    return {
      step: "Docker not there",
      tell: "there is no `docker` command on it: install Docker Engine there, on Debian and Ubuntu with `sudo apt-get install docker.io`",
    };
  }
  if (docker.info?.ID) return undefined;
  const said = docker.info?.ServerErrors?.[0] ?? docker.error.trim().split("\n")[0];
  if (/permission denied/i.test(said ?? "")) {
    return {
      step: "Docker not allowed",
      tell: "you may not use its Docker daemon: run `sudo usermod -aG docker $USER` there, then try again here",
    };
  }
  return {
    step: "Docker not there",
    tell: `its Docker daemon does not answer (${said || "no answer"}): start it there with \`sudo systemctl start docker\``,
  };
}

/** The machine that an inspection found. @throws when its Docker daemon cannot be used; see `dockerProblem` */
export function machineOf(inspection: Inspection): Machine {
  const problem = dockerProblem(inspection);
  if (problem) throw new Error(problem.tell);
  const { user, groups = [], home, docker, driver, toolkitHook } = inspection;
  const { info } = docker as { info: DockerInfo };
  const { ID = "", Architecture = "", Runtimes, DiscoveredDevices } = info;
  const gpus = gpuInventory({
    driver,
    toolkit: toolkitHook || "nvidia" in (Runtimes ?? {}),
    cdi: (DiscoveredDevices ?? []).some((device) => device.ID?.startsWith("nvidia.com/gpu")),
  });
  const platform = `linux/${architecture(Architecture)}`;
  const hasPython = isEnough(inspection.python);
  return { id: ID, platform, runsAs: runsAs({ user, groups }, info), home, gpus, hasPython };
}

/** Who a person is in a container, by how the daemon keeps containers apart. `user` is theirs on the host, `uid:gid`. */
export function runsAs({ user, groups }: { user: string; groups: number[] }, info: DockerInfo): RunsAs {
  const has = (option: string) => info.SecurityOptions?.some((each) => each.split(",").includes(option));
  // The daemon is the person's own program there, its root the person, and every other id one that nobody has.
  if (has("name=rootless")) return { user: "0:0", groups: [] };
  const person = { user, groups: [...groups].sort((one, other) => one - other).map(String) };
  // Every id would be one that nobody has. What a container is kept from by that, it is without capabilities as well.
  return has("name=userns") ? { ...person, usernsMode: "host" } : person;
}

/** Docker's name for what the daemon's kernel calls its architecture. */
export function architecture(machine: string): string {
  return { x86_64: "amd64", aarch64: "arm64" }[machine] ?? machine;
}

const MEGABYTE = 2 ** 20;

/** What a daemon's account of itself says that a stack may depend on. */
export function daemonFacts(info: DockerInfo): Pick<HostFacts, "docker" | "memory" | "cgroupDriver"> {
  return {
    docker: info.ServerVersion,
    memory: info.MemTotal === undefined ? undefined : Math.floor(info.MemTotal / MEGABYTE),
    cgroupDriver: info.CgroupDriver,
  };
}

/** What the preflight needs to know. `now` is this machine's clock, in milliseconds since the epoch. */
export function factsOf(inspection: Inspection, needs: HostNeeds, now = Date.now()): HostFacts {
  const { docker, addresses, free, folders } = inspection;
  const listening = inspection.listening.map(decodeSocket);
  const listenErrors = needs.notebooks.flatMap(({ address, port }): [number, string][] => {
    if (addresses && address !== "0.0.0.0" && !address.startsWith("127.") && !addresses.includes(address)) {
      return [[port, "EADDRNOTAVAIL"]];
    }
    const taken = listening.some((socket) => socket.port === port && collide(socket.address, address));
    return taken ? [[port, "EADDRINUSE"]] : [];
  });
  return {
    gpus: machineOf(inspection).gpus,
    containers: "missing" in docker ? [] : docker.containers.map(listedContainer),
    networks: "missing" in docker ? [] : docker.networks.map((each) => listed("network", each)),
    volumes: "missing" in docker ? [] : docker.volumes.map((each) => listed("volume", each)),
    listenErrors: new Map(listenErrors),
    freeMegabytes: free.docker ?? undefined,
    freeForRoot: free.root ?? undefined,
    home: inspection.home,
    python: inspection.python,
    git: inspection.git,
    ...folders,
    clockAhead: inspection.time === undefined ? undefined : inspection.time - now / 1000,
    ...("missing" in docker ? {} : daemonFacts(docker.info ?? {})),
  };
}

const EVERY = "0.0.0.0";

function collide(one: string, other: string): boolean {
  return one === EVERY || other === EVERY || one === other;
}

/** A socket as the kernel writes it: 32-bit words in the machine's byte order, then the port. */
function decodeSocket(text: string): { address: string; port: number } {
  const [hex = "", port = ""] = text.split(":");
  // The last word of an IPv6 address that stands for an IPv4 one; `::` takes IPv4 connections as well.
  const bytes = hex.slice(-8).match(/../g) ?? [];
  return {
    address: bytes
      .map((byte) => Number.parseInt(byte, 16))
      .reverse()
      .join("."),
    port: Number.parseInt(port, 16),
  };
}

function listed(kind: Existing["kind"], { name, stack, owner, madeBy }: Listed): Existing {
  const labels = { [STACK_LABEL]: stack, [OWNER_LABEL]: owner, [MADE_BY_LABEL]: madeBy };
  return existing(kind, name, labels);
}

function listedContainer(container: ListedContainer): ExistingContainer {
  const name = container.name.split(",")[0] ?? container.name;
  return {
    ...listed("container", { ...container, name }),
    status: container.status,
    // Names of volumes among them. A path with a comma in it is taken for others; then Docker itself says what is missing.
    binds: container.mounts?.split(",").filter((mount) => mount.startsWith("/")),
    // As in `127.0.0.1:8888->8888/tcp, :::9000-9001->9000-9001/tcp`.
    ports: [...container.ports.matchAll(/:(\d+)(?:-(\d+))?->/g)].flatMap(([, first, last]) =>
      range(Number(first), Number(last ?? first)),
    ),
  };
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Who the person is in a container. */
export interface RunsAs {
  /** `uid:gid`. */
  user: string;
  /** Numbers of further groups, in order. */
  groups: string[];
  /** `host` where the daemon would give the container ids of its own. */
  usernsMode?: "host";
}
