/** What a notebook is given by a path of the host that is mounted into it, beyond what people mean to give. Pure. */
import { posix } from "node:path";
import type { HostFacts, HostNeeds, MountedPath } from "../facts.ts";
import { type Check, check } from "./check.ts";

/** Whoever can write to one of these starts containers with any of the host's folders in them. */
const SOCKETS = ["/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"];
/** What homes are called; the person's own may be elsewhere. */
const HOMES = /^\/(home|Users)(\/[^/]+)?$|^\/root$/;
/** Where programs keep what lets somebody in. */
const KEYS =
  /\/\.(ssh|aws|azure|gnupg|kube|docker|gpubox|pulumi|netrc|pgpass|git-credentials|password-store)(\/|$)/;
/** What of a home is nobody's work: hidden, or where a system keeps programs and settings. A cache holds neither, but for ours. */
const NOT_WORK = /^(\.(?!cache\/(?!gpubox(\/|$)))|(bin|Library)(\/|$))/;

/** What the machine has for itself, and what each gives to whom `files` can be done with. */
const MACHINE: { trees: string[]; gives: (files: string, readOnly: boolean) => string }[] = [
  { trees: ["/etc", "/boot", "/var/spool"], gives: (files) => `the host's own settings, ${files}` },
  {
    trees: ["/var/lib/docker", "/var/lib/containerd", "/var/lib/containers"],
    gives: (files) => `everything in everyone's containers, images and volumes, ${files}`,
  },
  { trees: ["/dev"], gives: () => "the host's devices, its disks and its memory among them" },
  { trees: ["/proc", "/sys"], gives: (files) => `the host's kernel and processes, ${files}` },
  {
    trees: ["/usr", "/bin", "/sbin", "/lib", "/lib64"],
    // Everybody may read them.
    gives: (_, readOnly) => (readOnly ? "" : "the host's own programs, to change"),
  },
];
/** Certificates of the public, for programs that look them up. */
const PUBLIC = [
  "/etc/ssl/certs",
  "/etc/pki/ca-trust",
  "/etc/ca-certificates",
  "/etc/localtime",
  "/etc/timezone",
];

const plain = (path: string): string =>
  posix
    .normalize(path)
    .replace(/(?<=.)\/$/, "")
    .replace(/^\/var\/run(?=\/|$)/, "/run");

/** Whether a path is a folder, or somewhere in it. */
export const isWithin = (path: string, folder: string): boolean =>
  folder === "/" || path === folder || path.startsWith(`${folder}/`);

/** A path as its home has it; undefined where it is in none. */
function belowHome(path: string, home: string | undefined): string | undefined {
  if (home !== undefined && path.startsWith(`${home}/`)) return path.slice(home.length + 1);
  return /^(?:\/root|\/(?:home|Users)\/[^/]+)\/(.+)$/.exec(path)?.[1];
}

/**
 * What mounting a path gives away, in words that follow "gives"; undefined for a path like any other.
 *
 * @param home of the person on the host, where it is known
 */
export function givesAway({ source, readOnly }: MountedPath, home?: string): string | undefined {
  const path = plain(source);
  const holds = (other: string) => isWithin(other, path);
  const overlaps = (other: string) => holds(other) || isWithin(path, other);
  const files = readOnly ? "to read" : "to read and to change";
  const isPublic = readOnly && PUBLIC.some((each) => isWithin(path, each));
  const isSocket = SOCKETS.some(holds) || /\/(docker|podman|containerd)\.sock$/.test(path);
  const isKey = KEYS.test(path);
  const given = [
    isSocket ? "the socket of Docker, and so root's rights on every file of the host, read-only or not" : "",
    !isSocket && overlaps("/run")
      ? "sockets that control programs on the host, such as your SSH agent and your session, read-only or not"
      : "",
    ...MACHINE.map(({ trees, gives }) => (!isPublic && trees.some(overlaps) ? gives(files, readOnly) : "")),
    HOMES.test(path) || (home !== undefined && holds(home))
      ? `all in your home, ${files}: keys, passwords, and what runs at your next login`
      : "",
    isKey ? `keys and passwords of yours, ${files}` : "",
    !isKey && NOT_WORK.test(belowHome(path, home) ?? "")
      ? `settings and programs of yours, ${files}: passwords may be among them${readOnly ? "" : ", and what is there runs as you"}`
      : "",
  ].filter(Boolean);
  return given.length === 0 ? undefined : given.join("; ");
}

/** The warning about a mounted path; undefined where there is nothing to warn of. */
export function volumeWarning(notebook: string, mounted: MountedPath, home?: string): string | undefined {
  const given = givesAway(mounted, home);
  return (
    given &&
    `${mounted.source} gives any code that runs in ${notebook} ${given}. Mount a folder that holds only what is needed there`
  );
}

/**
 * Why a path cannot be mounted that shows what is in /code and /data already: it would show what gpubox keeps there as well, which a
 * notebook is not to see, and what runs there could have put a link in its place, for the next container to be given what that
 * leads to. Undefined for any other path, and for one that gives away more than that.
 */
export function ownFolderProblem(mounted: MountedPath, root: string, home?: string): string | undefined {
  const [path, top] = [plain(mounted.source), plain(root)];
  if (["code", "data"].some((kind) => isWithin(path, `${top}/${kind}`)))
    return `${mounted.source} is already in every notebook, as ${path.slice(top.length)}: leave it out`;
  return isWithin(top, path) && givesAway(mounted, home) === undefined
    ? `${mounted.source} holds ${root}, of which every notebook already has its part as /code and /data: mount only the folder in it that is needed`
    : undefined;
}

export function volumeChecks({ notebooks }: HostNeeds, { root, home }: HostFacts): Check[] {
  return notebooks.flatMap(({ name, volumes = [] }, index) =>
    volumes.map((mounted, at) => {
      const refusal = root === undefined ? undefined : ownFolderProblem(mounted, root, home);
      const problem = refusal ?? volumeWarning(name, mounted, home);
      const found = refusal
        ? "of the root"
        : problem
          ? "gives away more than files"
          : "a folder like any other";
      return check(
        `volume ${mounted.source} of ${name}`,
        { found, needed: refusal ? "another folder" : found },
        problem && `gpubox:notebooks[${index}].volumes[${at}].source: ${problem}`,
        refusal ? "fail" : "warn",
      );
    }),
  );
}

/** Where the gpubox that the person runs can be changed by what runs in a notebook; known of this machine alone. */
export function checkoutChecks({ notebooks }: HostNeeds, { root, checkout }: HostFacts): Check[] {
  if (checkout === undefined) return [];
  const ways = [
    ...(root === undefined ? [] : [`${plain(root)}/code`, `${plain(root)}/data`])
      .filter((folder) => isWithin(checkout, folder))
      .map((folder) => `it is in ${folder}, which every notebook has`),
    ...notebooks.flatMap(({ name, volumes = [] }) =>
      volumes
        .filter(({ readOnly }) => !readOnly)
        .filter(({ source }) => isWithin(checkout, plain(source)) || isWithin(plain(source), checkout))
        .map(({ source }) => `${name} has ${source}`),
    ),
  ];
  const problem =
    ways.length > 0
      ? `code in a notebook can change gpubox itself, which you run on this machine (${ways.join("; ")}): keep ${checkout} where no notebook can write`
      : undefined;
  const found = problem ? "open to notebooks" : "yours alone";
  return [check(`checkout ${checkout}`, { found, needed: "yours alone" }, problem, "warn")];
}
