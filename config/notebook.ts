/** What a stack file may say of a notebook, with every default. */
import { posix } from "node:path";
import { z } from "zod";
import { NO_COLON, NO_CONTROL, noColon, noControl } from "./paths.ts";

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

export const notebook = z.strictObject({
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
    .refine((megabytes) => megabytes >= 6, 'must be at least "6m", Docker\'s minimum')
    .optional()
    .describe('Upper limit of memory, e.g. "16g". Default: none.'),
  volumes: z.array(volume).default([]).describe("Further folders of the host, beside /code and /data."),
  umask: z
    .string(UMASK)
    .regex(/^0{1,2}[0-7]{2}$/, UMASK)
    .optional()
    .describe(
      'Permissions that new files do not get, as with the command `umask`: "002" lets your group write to them, "077" keeps them private. Default: as in the image, usually "022".',
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

const FIRST_PORT = 8888;

/** The default: GPU n is served on port 8888 + n. */
function defaultPort(wanted: z.output<typeof gpus>): number {
  const [, index = 0] = Array.isArray(wanted) ? (/^(\d+)(:|$)/.exec(String(wanted[0])) ?? []) : [];
  return FIRST_PORT + Number(index);
}

export const withPort = (entry: z.output<typeof notebook>) => ({
  ...entry,
  port: entry.port ?? defaultPort(entry.gpus),
});

/** Whether two notebooks may end up on one GPU; "auto" and "all" reach for every GPU there is. */
export function overlaps(a: z.output<typeof gpus>, b: z.output<typeof gpus>): boolean {
  if (a === "none" || b === "none") return false;
  if (!Array.isArray(a) || !Array.isArray(b)) return true;
  // Slice 0:1 is part of GPU 0.
  const within = (id: string | number, other: string | number) =>
    `${id}:`.toLowerCase().startsWith(`${other}:`.toLowerCase());
  return a.some((id) => b.some((other) => within(id, other) || within(other, id)));
}
