/**
 * The configuration of a stack: what `Pulumi.<stack>.yaml` may say, read once and refused as a whole.
 *
 * This is the only file that reads Pulumi's configuration. Every default is written here (those of an AWS host in
 * components/host/aws/args.ts) and nowhere else;
 * `npm run schema` makes `schema/stack.json` from it, which editors check the stack files with.
 */
import { posix } from "node:path";
import { z } from "zod";
import { CATALOGUE, type CatalogueEntry } from "./catalogue.ts";
import { awsHostArgs } from "./components/host/aws/args.ts";
import { sshFile } from "./components/host/ssh-file.ts";
import {
  type Additions,
  RequirementsError,
  readRequirements,
  requirementProblem,
} from "./components/workspace/packages.ts";
import {
  ConfigError,
  describeIssue,
  KEYS,
  type KeySchema,
  keyProblem,
  NAMESPACE,
  TOP_KEYS,
} from "./config-errors.ts";

export { ConfigError } from "./config-errors.ts";

/** Folder on the host that holds `code/` and `data/` where none is named. */
export const DEFAULT_ROOT = "~/docker_mount";

/** What Docker's `SOURCE:TARGET` cannot carry. */
const noColon = (path: string) => !path.includes(":");
const NO_COLON = "must not contain a colon, by which Docker tells the two sides of a volume apart";

/** What a message cannot show as it is. */
const NO_CONTROL = "must not contain a line break or another control character";
const noControl = (path: string) => !/\p{Cc}/u.test(path);

/** A folder on the host: absolute, or below the home folder of the person (`~/…`). */
const hostPath = z
  .string()
  .regex(/^(~$|~\/|\/)/, "must be absolute, or start with ~/")
  .refine((path) => !path.split("/").includes(".."), "must not contain ..")
  .refine(noColon, NO_COLON)
  .refine(noControl, NO_CONTROL)
  .refine((path) => !/^[/.]+$/.test(path), "must be a folder, not all of the machine");

/** A folder directly below `code/` or `data/`: one that cannot lead out of it, nor collide with our own. */
const folder = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/,
    "must be a relative path without ..",
  );

const MEGABYTES: Record<string, number> = { m: 1, g: 1024 };

/** An amount of memory as Docker writes it, "512m" or "8g"; becomes megabytes, which is what the provider takes. */
const memory = z
  .string('must be an amount like "512m" or "8g"')
  .regex(/^[1-9]\d*[mg]$/i, 'must be an amount like "512m" or "8g"')
  .transform((text) => Number.parseInt(text, 10) * (MEGABYTES[text.slice(-1).toLowerCase()] as number));

const gpuId = z.union([
  z.int().min(0),
  z
    .string()
    .regex(
      /^(GPU-[0-9a-f-]+|MIG-([0-9a-f-]+|GPU-[0-9a-f-]+\/\d+\/\d+)|\d+:\d+)$/i,
      'must be an index, a slice as in "0:1", or a UUID as `nvidia-smi -L` prints it',
    ),
]);

const gpuList = z
  .array(gpuId)
  .min(1, 'must name a GPU; for the CPU write "none"')
  .refine((ids) => new Set(ids).size === ids.length, "must not name a GPU twice");

const gpus = z.union([z.enum(["auto", "all", "none"]), gpuList], {
  error: 'must be "auto", "all", "none", or a list of GPU indices, slices or UUIDs',
});

/** Variables the notebook's own start-up needs; set from outside they would break it or leak the token. */
const RESERVED_VARIABLES = [
  "GPUBOX_UMASK",
  "HOME",
  "JUPYTER_PORT",
  "JUPYTER_TOKEN",
  "NVIDIA_VISIBLE_DEVICES",
];

/** Where the stack itself puts something in every container. */
const RESERVED_TARGETS = ["/", "/code", "/data", "/code/.gpubox", "/data/.gpubox", "/home/jupyter"];

/** Whether a mount there would hide what the stack puts there, or show what it hides. */
function isReserved(target: string): boolean {
  const folder = (path: string) => posix.join(path, "/");
  const isTaken = RESERVED_TARGETS.some((path) => folder(path) === folder(target));
  return isTaken || /^\/(code|data)\/\.gpubox\//.test(folder(target));
}

/** One that takes from the person keeps Jupyter from its own files. A number would have lost its zeros by YAML's rules. */
const UMASK = 'must be three octal digits in quotes that begin with 0, like "002"';

const volume = z.strictObject({
  source: z
    .string()
    .regex(/^\//, "must be an absolute path on the host")
    .refine(noColon, NO_COLON)
    .refine(noControl, NO_CONTROL)
    .describe("Folder on the host; must exist."),
  target: z
    .string()
    .regex(/^\//, "must be an absolute path in the container")
    .refine(noColon, NO_COLON)
    .refine(noControl, NO_CONTROL)
    .refine((path) => !isReserved(path), `must not be one of ${RESERVED_TARGETS.join(", ")}`)
    .describe("Where the container sees it."),
  readOnly: z.boolean().default(false).describe("Whether the container may only read it."),
});

const notebook = z.strictObject({
  name: z
    .string()
    .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, {
      error: "must be a container name: a letter or a digit, then letters, digits, _ . -",
      abort: true,
    })
    // Docker wants two at least, and it is the container's host name as well, which takes 63.
    .refine(({ length }) => length >= 2 && length <= 63, "must have 2 to 63 characters")
    .describe("Name of the container, as in `docker exec -it NAME bash`."),
  gpus: gpus
    .default("auto")
    .describe(
      '"auto": the GPUs there are, else the CPU; "all": every GPU, and an error where there is none; "none": the CPU; or a list of GPU indices or UUIDs, or of MIG slices ("0:1" or their UUIDs).',
    ),
  shareGpus: z
    .boolean()
    .default(false)
    .describe("Whether another notebook that also says so may use the same GPUs."),
  port: z
    .int()
    .min(1024)
    .max(65535)
    .optional()
    .describe("Port on the host. Default: 8888 plus the index of the notebook's first GPU."),
  address: z
    .ipv4("must be an IPv4 address of the host, e.g. 127.0.0.1 or 0.0.0.0")
    .default("127.0.0.1")
    .describe("Address of the host the port is bound to; anything but the loopback exposes the notebook."),
  shmSize: memory
    .default(8192)
    .describe(
      'Upper limit of shared memory, which the workers of a DataLoader pass batches through. Default "8g".',
    ),
  memory: memory
    .refine((megabytes) => megabytes >= 6, 'must be at least "6m", by a rule of Docker\'s')
    .optional()
    .describe('Upper limit of memory, e.g. "16g". Default: none.'),
  volumes: z.array(volume).default([]).describe("Further folders of the host, beside /code and /data."),
  umask: z
    .string(UMASK)
    .regex(/^0{1,2}[0-7]{2}$/, UMASK)
    .optional()
    .describe(
      'What others lose of files that are made in it, as of the command `umask`: "002" lets your group write to them, "077" keeps them to yourself. Default: that of the image, "022" as a rule.',
    ),
  environment: z
    .record(
      z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of a variable")
        .refine((key) => !RESERVED_VARIABLES.includes(key), "is set by gpubox itself"),
      z.string(),
    )
    .default({})
    .describe("Further environment variables; kept encrypted in the state."),
});

/** An image's name as Docker's `reference` package has it: server, path, tag, digest. */
const IMAGE = (() => {
  const server = String.raw`(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d+)?`;
  const part = "[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*";
  const tag = String.raw`\w[\w.-]{0,127}`;
  const digest = "[A-Za-z][A-Za-z0-9+._-]*:[0-9a-fA-F]{32,}";
  return new RegExp(`^(?:${server}/)?${part}(?:/${part})*(?::${tag})?(?:@${digest})?$`);
})();

const imageReference = z
  .string()
  .min(1, { abort: true })
  .regex(
    IMAGE,
    "must be the reference of an image, as in docker.io/library/debian:12: its name in lower case",
  );

/** A Python package as pip reads it. */
const requirement = z
  .string()
  .refine(noControl, NO_CONTROL)
  .superRefine((line, context) => {
    const message = requirementProblem(line);
    if (message) context.addIssue({ code: "custom", message });
  });

const debianPackage = z.string().regex(
  // With a "-" at its end it would be one to remove.
  /^[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]*[A-Za-z0-9.+:~])?$/,
  "must be the name of a Debian package, such as graphviz",
);

const imageKeys = z.strictObject({
  target: z
    .enum(["full", "lab"])
    .optional()
    .describe(
      'Stage of docker/Dockerfile to build: "full" (default) has torch and fastai, "lab" only JupyterLab.',
    ),
  args: z
    .record(z.string(), z.string())
    .optional()
    .describe("Build arguments of docker/Dockerfile, e.g. BASE: the image to build from."),
  packages: z
    .array(requirement)
    .optional()
    .describe('Python packages to add, e.g. [timm, "kornia>=0.8"]; what the image has stays at its version.'),
  apt: z.array(debianPackage).optional().describe("Debian packages to add, e.g. [ffmpeg]."),
  requirements: z
    .string()
    .min(1, "must not be empty")
    .refine(noControl, NO_CONTROL)
    .optional()
    .describe(
      "File of Python packages to add, as pip's requirements files; relative to the project's folder.",
    ),
  pull: imageReference
    .optional()
    .describe("Reference of an image to pull instead, e.g. streaminterrupt/fastai:cuda9-cudnn7-ubuntu16.04."),
  command: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("With `pull`: the command that starts Jupyter on $JUPYTER_PORT. Default: whichever it has."),
  entrypoint: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("With `pull`: in place of the image's ENTRYPOINT, which `command` is arguments of."),
  user: z
    .enum(["host", "image"])
    .optional()
    .describe(
      'With `pull`: who runs in the container, "host" (default), the person, or "image", its own user.',
    ),
});

type ChosenImage =
  | {
      pull: string;
      command: string[] | undefined;
      entrypoint: string[] | undefined;
      user: "host" | "image";
    }
  | ({ target: "full" | "lab"; args: Record<string, string> } & Additions);

/** What only an image that is built can have. */
const BUILD_KEYS = ["target", "args", "packages", "apt", "requirements"] as const;

/** Which image: one to pull, or one to build. */
function chooseImage(keys: z.output<typeof imageKeys>): ChosenImage {
  const { pull, command, entrypoint, user, target, args, packages, apt, requirements } = keys;
  return pull === undefined
    ? { target: target ?? "full", args: args ?? {}, packages, apt, requirements }
    : { pull, command, entrypoint, user: user ?? "host" };
}

const image = z
  .union(
    [
      imageReference.transform((pull) => chooseImage({ pull })),
      imageKeys
        .refine(
          ({ pull, ...build }) => !pull || !BUILD_KEYS.some((key) => build[key]),
          "cannot be pulled and built: leave out `pull`, or `target`, `args`, `packages`, `apt` and `requirements`",
        )
        .refine(
          ({ pull, command, entrypoint, user }) => pull || !(command || entrypoint || user),
          "takes `command`, `entrypoint` and `user` only with `pull`",
        )
        .transform(chooseImage),
    ],
    { error: "must be the reference of an image to pull, or an object" },
  )
  .default(() => chooseImage({}));

const purge = z
  .boolean()
  .default(false)
  .describe(
    "Whether its files go when the entry leaves the configuration or the stack is destroyed. What you changed or added stays.",
  );

const code = z.strictObject({
  url: z
    .string()
    .regex(/^(https?|ssh|git|file):\/\/|^[^/:]+@[^/:]+:/, "must be the url of a git repository")
    .refine(
      (url) => !/^https?:\/\/[^/]*@/.test(url),
      "must not hold credentials: use git's credential helper",
    )
    .describe("Git repository."),
  ref: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._/-]*$/,
      "must be a commit, a tag or a branch: a letter or a digit, then letters, digits, . _ / -",
    )
    .describe(
      "Commit, tag or branch to check out. A branch stays at the commit it was first put at: `npm run update` moves it.",
    ),
  folder: folder.optional().describe("Folder below code/. Default: the last part of the url."),
  shallow: z
    .boolean()
    .default(true)
    .describe("Whether to fetch that one commit instead of the whole history, where the server allows it."),
  submodules: z.boolean().default(false).describe("Whether to check out submodules too."),
  lfs: z
    .boolean()
    .default(false)
    .describe("Whether to fetch the files that Git LFS keeps; needs git-lfs on the host."),
  purge,
});

const dataUrl = z
  .string("must be an http, https, file or s3 url")
  .regex(/^(https?|file|s3):\/\/\S+$/, "must be an http, https, file or s3 url")
  .refine((url) => !/^\w+:\/\/[^/?#]*@/.test(url), "must not hold credentials, which would end up in logs");

const setName = z.enum([...CATALOGUE.keys()] as [string, ...string[]], {
  error: "is no name of the catalogue: docs/data.md lists them",
});

/** What a file of its own can be called, and a line of a script hand on. */
const fileName = z
  .string()
  .min(1, "must not be empty")
  .max(200, "must be shorter")
  .regex(/^[^/\\\p{Cc}]*$/u, "must be the name of a file, without a path")
  .refine((name) => ![".", "..", ".gpubox.json"].includes(name), "cannot be the name of the file");

const dataKeys = z.strictObject({
  url: z
    .union([dataUrl.transform((url) => [url]), z.array(dataUrl).min(1, "must name a url")], {
      error: "must be an http, https, file or s3 url, or a list of them",
    })
    .optional()
    .describe(
      "Archive (zip, tar, tar.gz, tar.xz, tar.bz2, tar.zst) or plain file; or a list of mirrors, tried in order; or, on an AWS host, `s3://BUCKET/FOLDER`.",
    ),
  set: setName.optional().describe("Instead of `url`: name of a well-known set; docs/data.md lists them."),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/i, "must be the 64 hexadecimal digits that `sha256sum FILE` prints")
    .transform((hash) => hash.toLowerCase())
    .optional()
    .describe(
      "SHA-256 of the file. Without it the one seen first is recorded on the host, shown, and enforced from then on.",
    ),
  size: z
    .int()
    .min(0)
    .optional()
    .describe("Bytes of the file; another number is an error before anything is downloaded."),
  files: z.int().min(1).optional().describe("How many files it must unpack to."),
  name: fileName
    .optional()
    .describe(
      "Name of the file; its ending says whether it is unpacked. Default: the one that the server gives it, else the last part of the url.",
    ),
  folder: folder.optional().describe("Folder below data/. Default: the file's name without its ending."),
  keepArchive: z
    .boolean()
    .default(false)
    .describe("Whether to keep the downloaded file beside what was unpacked from it."),
  purge,
});

/** A data set wherever it comes from: a set of the catalogue as the entry that somebody would have written. */
function locate({ url = [], set, ...options }: z.output<typeof dataKeys>) {
  if (set === undefined) return { url, headMd5: undefined, ...options };
  const { url: known, size, headMd5 } = CATALOGUE.get(set) as CatalogueEntry;
  return { url: [known], headMd5, ...options, size: options.size ?? size };
}

const data = z.union(
  [
    setName.transform((set) => locate(dataKeys.parse({ set }))),
    dataKeys
      .refine(
        ({ url, set }) => (url === undefined) !== (set === undefined),
        "must have either `url` or `set`",
      )
      .transform(locate),
  ],
  { error: "must be a name of the catalogue (docs/data.md lists them), or an object" },
);

/** Last part of a url, without query and fragment. */
function basename(url: string): string {
  const path = url.replace(/[?#].*$/, "").replace(/\/+$/, "");
  return path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf(":")) + 1);
}

const withCodeFolder = (entry: z.output<typeof code>) => ({
  ...entry,
  folder: entry.folder ?? basename(entry.url).replace(/\.git$/, ""),
});

const withDataFolder = (entry: z.output<typeof data>) => ({
  ...entry,
  folder:
    entry.folder ??
    (entry.name ?? basename(entry.url[0] as string)).replace(
      /(\.tar)?\.(zip|t[bgx]z|tbz2|tzst|gz|xz|bz2|zst|tar)$/i,
      "",
    ),
});

/** The folder of an entry that names none comes from its name or url, and that may end in anything, ".." included. */
function requireFolder(
  entry: { folder: string; name?: string | undefined },
  context: z.core.$RefinementCtx,
): void {
  if (folder.safeParse(entry.folder).success) return;
  const where =
    entry.name === undefined ? "the url does not end in a name that can be one" : "`name` cannot be one";
  const message = `is needed, as ${where}`;
  context.addIssue({ code: "custom", path: ["folder"], message });
}

const FIRST_PORT = 8888;

/** The seed's rule: GPU n is served on port 8888 + n. */
function defaultPort(wanted: z.output<typeof gpus>): number {
  const [, index = 0] = Array.isArray(wanted) ? (/^(\d+)(:|$)/.exec(String(wanted[0])) ?? []) : [];
  return FIRST_PORT + Number(index);
}

const withPort = (entry: z.output<typeof notebook>) => ({
  ...entry,
  port: entry.port ?? defaultPort(entry.gpus),
});

/** Whether two notebooks may end up on one GPU; "auto" and "all" reach for every GPU there is. */
function overlaps(a: z.output<typeof gpus>, b: z.output<typeof gpus>): boolean {
  if (a === "none" || b === "none") return false;
  if (!Array.isArray(a) || !Array.isArray(b)) return true;
  // Slice 0:1 is part of GPU 0.
  const within = (id: string | number, other: string | number) =>
    `${id}:`.toLowerCase().startsWith(`${other}:`.toLowerCase());
  return a.some((id) => b.some((other) => within(id, other) || within(other, id)));
}

type Problem = { path: PropertyKey[]; message: string };

/** Every pair of entries that `clash` objects to, as problems at the later one. */
function clashes<T>(
  key: string,
  entries: T[],
  clash: (later: T, earlier: T) => string | undefined,
): Problem[] {
  return entries.flatMap((later, index) =>
    entries.slice(0, index).flatMap((earlier) => {
      const message = clash(later, earlier);
      return message === undefined ? [] : [{ path: [key, index], message }];
    }),
  );
}

const sameFolder = (a: { folder: string }, b: { folder: string }) =>
  `${a.folder}/`.startsWith(`${b.folder}/`) || `${b.folder}/`.startsWith(`${a.folder}/`)
    ? `wants folder ${a.folder}, which ${b.folder} of another entry takes: give it a \`folder\` of its own`
    : undefined;

const localHost = z.strictObject({ kind: z.literal("local").describe("This machine.") });

const sshHost = z.strictObject({
  kind: z.literal("ssh").describe("A machine that you reach by SSH."),
  address: z
    .string()
    .regex(
      /^[A-Za-z0-9_:][A-Za-z0-9_.:-]*$/,
      "must be a name or an address, without `user@` and `ssh://`: those are `user` and `port`",
    )
    .describe("Its name or address, or a `Host` of ~/.ssh/config."),
  user: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, "must be the name of a user")
    .optional()
    .describe("Who you are there. Default: as ~/.ssh/config says, else your name here."),
  port: z
    .int()
    .min(1)
    .max(65535)
    .optional()
    .describe("Port of its SSH server. Default: as ~/.ssh/config says, else 22."),
  key: sshFile
    .optional()
    .describe(
      "Private key file on your machine. Default: your agent's keys and those that ssh tries by itself.",
    ),
  hostKey: z
    .string()
    .regex(
      /^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]{40,}={0,3}( .*)?$/,
      "must be a public host key, as in /etc/ssh/ssh_host_ed25519_key.pub there: `ssh-ed25519 AAAA…`",
    )
    .optional()
    .describe("The one host key it is known by: `ssh-ed25519 AAAA…`."),
  knownHosts: sshFile
    .optional()
    .describe("Instead of `hostKey`: file of host keys on your machine. Default: ~/.ssh/known_hosts."),
});

type AnyHost = z.output<typeof localHost> | z.output<typeof sshHost> | z.output<typeof awsHostArgs>;

const oneWayToKnow = (host: AnyHost) =>
  host.kind !== "ssh" || host.hostKey === undefined || host.knownHosts === undefined;

const host = z
  .discriminatedUnion("kind", [localHost, sshHost, awsHostArgs])
  .refine(oneWayToKnow, "takes either `hostKey` or `knownHosts`, not both");

type AnyDataset = z.output<typeof data>;

/** A folder of S3 is no single file, and only a machine on AWS has a role to read it with. */
function s3Problems({ host, data: entries }: { host: AnyHost; data: AnyDataset[] }): Problem[] {
  return entries.flatMap((entry, index) => {
    if (!entry.url.some((url) => url.startsWith("s3://"))) return [];
    const { url, sha256, size, files, name, keepArchive, purge } = entry;
    const alone = url.length === 1 && !(sha256 || size || files || name || keepArchive || purge);
    return [
      ...(host.kind === "aws" ? [] : ["cannot be an s3 url on this kind of host: only an AWS host reads S3"]),
      ...(alone ? [] : ["takes nothing but `folder` beside an s3 url: what is there is taken as it is"]),
    ].map((message) => ({ path: ["data", index, "url"], message }));
  });
}

/** Where an image that is pulled has its own ENTRYPOINT, nothing of ours comes before it that could set the umask. */
function umaskProblems({
  image,
  notebooks,
}: {
  image: ChosenImage;
  notebooks: { umask?: string | undefined }[];
}): Problem[] {
  if (!("pull" in image) || image.entrypoint || !image.command) return [];
  const message =
    "cannot be set for the ENTRYPOINT of an image that is pulled: give that as `image.entrypoint` as well";
  return notebooks.flatMap(({ umask }, index) =>
    umask === undefined ? [] : [{ path: ["notebooks", index, "umask"], message }],
  );
}

/** The root of a machine on AWS is a disk of its own, which would hide what else is in the folder. */
function rootProblem({ host, root }: { host: AnyHost; root: string }): Problem[] {
  const folder = root.replace(/\/+$/, "");
  const hides = ["", "~", "/home", "/root"].includes(folder) || /^\/home\/[^/]+$/.test(folder);
  if (host.kind !== "aws" || !hides) return [];
  return [
    {
      path: ["root"],
      message: "must be a folder of its own on an AWS host: the data volume is mounted there",
    },
  ];
}

const schema = z
  .strictObject({
    host: host.default({ kind: "local" }).describe("Where the stack lands."),
    root: hostPath
      .default(DEFAULT_ROOT)
      .describe("Folder on the host that holds code/ and data/, the notebooks' /code and /data."),
    image: image.describe("The notebooks' image: built from docker/ (the default), or one to pull."),
    code: z
      .array(code.transform(withCodeFolder).superRefine(requireFolder))
      .default([])
      .describe("Git repositories, put below code/."),
    data: z
      .array(data.transform(withDataFolder).superRefine(requireFolder))
      .default([])
      .describe("Data sets, put below data/: names of the catalogue, or objects."),
    connections: z
      .int()
      .min(1)
      .max(64)
      .default(16)
      .describe("How many connections all downloads of data sets may hold at a time."),
    notebooks: z
      .array(notebook.transform(withPort))
      .min(1, "must name at least one notebook")
      .default(() => [withPort(notebook.parse({ name: "container1" }))])
      .describe("The notebooks: one container each."),
  } satisfies Record<(typeof KEYS)[number], z.ZodType>)
  .superRefine((config, context) => {
    const problems = [
      ...rootProblem(config),
      ...s3Problems(config),
      ...umaskProblems(config),
      ...clashes("code", config.code, sameFolder),
      ...clashes("data", config.data, sameFolder),
      ...clashes("notebooks", config.notebooks, (a, b) =>
        a.name === b.name ? `has the name ${a.name} of another notebook` : undefined,
      ),
      ...clashes("notebooks", config.notebooks, (a, b) =>
        a.port === b.port
          ? `wants port ${a.port}, as ${b.name} does: give it a \`port\` of its own`
          : undefined,
      ),
      ...clashes("notebooks", config.notebooks, (a, b) =>
        overlaps(a.gpus, b.gpus) && !(a.shareGpus && b.shareGpus)
          ? `wants a GPU that ${b.name} may use: list other \`gpus\`, or allow it with \`shareGpus: true\` in both`
          : undefined,
      ),
    ];
    for (const { path, message } of problems) context.addIssue({ code: "custom", path, message });
  });

/** The whole configuration, defaults filled in. */
export type Config = z.output<typeof schema>;
export type HostConfig = z.output<typeof host>;
export type ImageConfig = Config["image"];
export type CodeConfig = Config["code"][number];
export type DatasetConfig = Config["data"][number];
export type NotebookConfig = Config["notebooks"][number];
export type GpuSelection = NotebookConfig["gpus"];

/**
 * Checks a configuration and fills in the defaults.
 *
 * @param raw the keys of the namespace `gpubox`, without their prefix
 */
export function checkConfig(
  raw: Record<string, unknown>,
): { config: Config; problems?: undefined } | { config?: undefined; problems: string[] } {
  const result = schema.safeParse(raw);
  if (result.success) return { config: result.data };
  const about = { raw, schema: keySchema() };
  // Two rules can object to one value in the same words.
  return { problems: [...new Set(result.error.issues.flatMap((issue) => describeIssue(about, issue)))] };
}

/**
 * Checks a configuration and fills in the defaults.
 *
 * @param raw the keys of the namespace `gpubox`, without their prefix
 * @param stack name of the stack, for the message
 * @throws ConfigError naming every bad key at once
 */
export function parseConfig(raw: Record<string, unknown>, stack: string): Config {
  const { config, problems } = checkConfig(raw);
  if (config) return config;
  throw new ConfigError(stack, problems);
}

/**
 * The keys of the namespace `gpubox`, from what the engine hands a program: structured values as JSON, and of a plain one its text
 * alone, so that 4 and "4" are the same. What can be either is a text.
 */
export function fromEngine(all: Record<string, string>): Record<string, unknown> {
  const prefix = `${NAMESPACE}:`;
  return Object.fromEntries(
    Object.entries(all).flatMap(([key, text]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), decode(key.slice(prefix.length), text)]] : [],
    ),
  );
}

function decode(key: string, text: string): unknown {
  const value = parseJson(text);
  if (value === undefined || typeof value === "string") return text;
  const known = KEYS.find((each) => each === key);
  const isText =
    typeof value !== "object" && known !== undefined && schema.shape[known].safeParse(text).success;
  return isText ? text : value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Lines of the requirements file that an image names; none without one. @throws ConfigError saying what is wrong with it */
export function requirementsOf(image: ImageConfig, stack: string): string[] {
  try {
    return "pull" in image ? [] : readRequirements(image);
  } catch (error) {
    if (!(error instanceof RequirementsError)) throw error;
    const problems = error.problems.map((line) => `${NAMESPACE}:image.requirements: ${line}`);
    throw new ConfigError(stack, problems, (image as Additions).requirements);
  }
}

/**
 * The configuration of the stack that is being run, with the files that it names.
 *
 * @throws pulumi.RunError naming everything that is wrong with it
 */
export async function loadConfig(): Promise<Config & { requirements: string[] }> {
  // Loaded here: the commands read stack files without Pulumi's SDK, which takes longer to load than they take in all.
  const pulumi = await import("@pulumi/pulumi");
  const stack = pulumi.getStack();
  const all = pulumi.runtime.allConfig();
  try {
    const foreign = Object.keys(all).flatMap((key) => keyProblem(key) ?? []);
    if (foreign.length > 0) throw new ConfigError(stack, foreign);
    const raw = fromEngine(all);
    // The engine leaves out what is below another key than `config:` and says nothing; the commands have looked before.
    if (Object.keys(raw).length === 0)
      pulumi.log.warn(`stack ${stack} sets no key of gpubox, so it is made with the defaults`);
    const config = parseConfig(raw, stack);
    return { ...config, requirements: requirementsOf(config.image, stack) };
  } catch (error) {
    throw error instanceof ConfigError ? new pulumi.RunError(error.message) : error;
  }
}

let keys: (KeySchema & Record<string, unknown>) | undefined;

/** JSON schema of the keys, without their namespace. Made once: it takes some milliseconds. */
function keySchema(): KeySchema & Record<string, unknown> {
  keys ??= z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as typeof keys & object;
  return keys;
}

/** JSON schema of a stack file, for editors; see `npm run schema`. */
export function stackJsonSchema(): object {
  const { properties, ...rest } = keySchema();
  delete rest.$schema;
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "gpubox stack",
    description: "Pulumi.<stack>.yaml of gpubox. Generated by `npm run schema`; do not edit.",
    type: "object",
    properties: {
      ...Object.fromEntries(TOP_KEYS.map((key) => [key, {}])),
      config: {
        ...rest,
        type: ["object", "null"],
        properties: Object.fromEntries(
          Object.entries(properties ?? {}).map(([key, value]) => [`${NAMESPACE}:${key}`, value]),
        ),
        // Other namespaces (docker:host, pulumi:tags …) are theirs to check.
        patternProperties: { [`^(?!${NAMESPACE}:)[^:]+:`]: {} },
      },
    },
    additionalProperties: false,
  };
}
