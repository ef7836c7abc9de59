/** What a stack takes of a machine itself: its Docker daemon, disks, memory, clock. Pure. */

import { shellLine } from "../../text/shell.ts";
import { atLeast } from "../../text/version.ts";
import { type HostFacts, type HostNeeds, rootFolders } from "../facts.ts";
import { isOwn } from "../owner.ts";
import { isEnough, OLDEST_PYTHON } from "../python.ts";
import { type Check, check } from "./check.ts";

/** BuildKit in the daemon, which the cache mounts of docker/Dockerfile need, is past its trials from here on. */
const OLDEST_DOCKER = "20.10";
/** Less than this is not enough for the smallest image, in MB. */
const MINIMUM_DISK = 2048;
/** What building an image takes, in MB: the full one was seen to take 16 GB with its cache, lab under 2. */
const IMAGE_DISK = { full: 18_000, lab: MINIMUM_DISK };
/** Less is killed in the middle of a training, in MB: fastai with its data loaders takes some 3 GB. */
const MEMORY = { full: 4000, lab: 1000 };
/** JupyterLab was seen to start with so much and to be killed with 64, in MB; a kernel comes on top. */
const JUPYTER_MEMORY = 80;
/** A clock that is off by more makes certificates invalid and package lists "not valid yet", in seconds. */
const CLOCK = 120;

export function machineChecks(needs: HostNeeds, facts: HostFacts): Check[] {
  return [
    docker(facts),
    ...programs(needs, facts),
    ...folders(needs, facts),
    ...disks(needs, facts),
    ...memory(needs, facts),
    ...limits(needs),
    ...clock(facts),
  ];
}

/** Folders that must be there, as Docker starts no container without them; those of a new root are still to be made. */
function folders(needs: HostNeeds, { root, missing = [], containers }: HostFacts): Check[] {
  const own = containers.filter((each) => isOwn(each, needs));
  const had = new Set(own.flatMap(({ binds = [] }) => binds));
  const ofRoot = root === undefined ? [] : rootFolders(root).filter((folder) => had.has(folder));
  const gone = ofRoot.filter((folder) => missing.includes(folder));
  const make = (...paths: string[]) => `\`${shellLine(["mkdir", "-p", ...paths])}\``;
  const forRoot = () => {
    const problem = `gpubox:root: ${gone.join(" and ")} ${gone.length === 1 ? "is" : "are"} gone, and the notebooks of this stack have ${gone.length === 1 ? "it" : "them"}: is the disk mounted? If its files are lost for good, ${make(...gone)} starts afresh`;
    const found = gone.length > 0 ? "gone" : "there";
    return check(`root ${root}`, { found, needed: "there" }, gone.length > 0 ? problem : undefined);
  };
  const further = needs.notebooks.flatMap(({ volumes = [] }, notebook) =>
    volumes.map(({ source }, index) => {
      const isMissing = missing.includes(source);
      const problem = `gpubox:notebooks[${notebook}].volumes[${index}].source: ${source} does not exist: is the disk mounted? To create a new folder: ${make(source)}`;
      const found = isMissing ? "not there" : "there";
      return check(`folder ${source}`, { found, needed: "there" }, isMissing ? problem : undefined);
    }),
  );
  return [...(ofRoot.length > 0 ? [forRoot()] : []), ...further];
}

function docker({ docker: version }: HostFacts): Check {
  const old = version !== undefined && !atLeast(version, OLDEST_DOCKER);
  return check(
    "Docker",
    { found: version ?? "answers", needed: `${OLDEST_DOCKER} or newer` },
    old
      ? `gpubox:host: Docker ${version} is too old to build the image: install ${OLDEST_DOCKER} or newer, on Debian and Ubuntu with \`sudo apt-get install docker.io\``
      : undefined,
  );
}

/** What puts code and data there: Python, or else that of the image, which has git as well. */
function programs({ puts }: HostNeeds, { python, git }: HostFacts): Check[] {
  if (!puts || python === undefined) return [];
  const found = python ?? "not there";
  const hasPython = isEnough(python);
  const problem = `gpubox:host: ${python === null ? "python3 is not there" : `python3 is ${python}, which is too old`}, so what puts code and data there runs in a container, once the image is there: install ${OLDEST_PYTHON} or newer, on Debian and Ubuntu with \`sudo apt-get install python3\`, on macOS with \`xcode-select --install\``;
  const ofPython = check(
    "Python",
    { found, needed: `${OLDEST_PYTHON} or newer` },
    hasPython ? undefined : problem,
    "warn",
  );
  if (puts !== "code" || !hasPython) return [ofPython];
  const noGit =
    "gpubox:code: git is not there: install it, on Debian and Ubuntu with `sudo apt-get install git`, on macOS with `xcode-select --install`";
  const ofGit = check(
    "git",
    { found: git ? "there" : "not there", needed: "there" },
    git ? undefined : noGit,
  );
  return [ofPython, ofGit];
}

function disks(needs: HostNeeds, { freeMegabytes, freeForRoot, containers }: HostFacts): Check[] {
  // A stack that is there needs little more than it has.
  const isThere = containers.some((each) => isOwn(each, needs));
  const image = needs.target ? IMAGE_DISK[needs.target] : MINIMUM_DISK;
  const show = (free: number, needed: number) => ({ found: `${free} MB free`, needed: `${needed} MB` });
  const fix = "`docker system df` shows what uses them, `docker system prune` removes what is unused";
  const forImage = () => {
    if (freeMegabytes === undefined || isThere) return [];
    const short = `MB are free where Docker keeps its images, and it needs`;
    const problem =
      freeMegabytes < MINIMUM_DISK
        ? `gpubox:host: only ${freeMegabytes} ${short} ${MINIMUM_DISK} at the very least: ${fix}`
        : freeMegabytes < image
          ? `gpubox:image: ${freeMegabytes} ${short} about ${image} to build this one: ${fix}`
          : undefined;
    const status = freeMegabytes < MINIMUM_DISK ? "fail" : "warn";
    return [check("disk of Docker", show(freeMegabytes, image), problem, status)];
  };
  const forData = () => {
    const { data = 0 } = needs;
    if (freeForRoot === undefined || isThere || data === 0) return [];
    const problem =
      freeForRoot < data
        ? `gpubox:data: ${freeForRoot} MB are free below gpubox:root, and the archives with their contents need about ${data}, unless they are already there: free space, or choose another \`root\``
        : undefined;
    return [check("disk of the root", show(freeForRoot, data), problem, "warn")];
  };
  return [...forImage(), ...forData()];
}

function memory({ target }: HostNeeds, { memory: found }: HostFacts): Check[] {
  if (found === undefined || !target) return [];
  const needed = MEMORY[target];
  const problem =
    found < needed
      ? `gpubox:host: ${found} MB of memory is little for this image, and a kernel that runs out of it is killed: close other programs, or add swap`
      : undefined;
  return [check("memory", { found: `${found} MB`, needed: `${needed} MB` }, problem, "warn")];
}

/** What a pulled image needs is not known. */
function limits({ target, notebooks }: HostNeeds): Check[] {
  return notebooks.flatMap(({ name, memory: limit }, index) => {
    if (limit === undefined || target === undefined) return [];
    const problem =
      limit < JUPYTER_MEMORY
        ? `gpubox:notebooks[${index}].memory: JupyterLab alone is killed at ${limit} MB: raise it, or leave it out`
        : undefined;
    const about = { found: `${limit} MB`, needed: `${JUPYTER_MEMORY} MB` };
    return [check(`memory limit of ${name}`, about, problem, "warn")];
  });
}

function clock({ clockAhead }: HostFacts): Check[] {
  if (clockAhead === undefined) return [];
  const off = Math.round(Math.abs(clockAhead));
  const found = off <= CLOCK ? "right" : `${off} s ${clockAhead < 0 ? "behind" : "ahead"}`;
  const problem =
    off > CLOCK
      ? `gpubox:host: its clock is ${found}, so downloads fail with certificates that are not valid yet or have expired: run \`sudo timedatectl set-ntp true\``
      : undefined;
  return [check("clock", { found, needed: `within ${CLOCK} s` }, problem)];
}
