/** What a stack file may say of an AWS host, with every default. */
import { z } from "zod";
import { sshFile } from "./ssh-file.ts";

/** Where AWS publishes the id of its Deep Learning Base image: NVIDIA driver, Docker and container toolkit are in it. */
const DEEP_LEARNING_IMAGE =
  "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id";

const instanceType = z
  .string()
  .regex(/^[a-z][a-z0-9-]*\.[a-z0-9-]+$/, 'must be an instance type like "g6.xlarge"');

/** A type in a zone, as errors and `unavailable` name it. */
const placement = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]*\.[a-z0-9-]+\/[a-z0-9-]+$/,
    'must be a type and a zone like "g6.xlarge/us-east-1a"',
  );

const ADDRESS = z.ipv4();

/** What `sshCidr` is for. */
const WHO = 'must be your address with /32, like "203.0.113.7/32", or "mine"';

/** What is wrong with a network that may log in, or undefined. */
function cidrProblem(text: string): string | undefined {
  const [address = "", bits = ""] = text.split("/");
  if (!ADDRESS.safeParse(address).success || !/^\d+$/.test(bits) || Number(bits) > 32) {
    return WHO;
  }
  if (Number(bits) === 0) {
    return 'would open SSH to the whole internet: give your own address with /32, or "mine"';
  }
  if (Number(bits) < 24) {
    return 'lets in more than 256 addresses: give your own address with /32, or at most a /24, or "mine"';
  }
  // EC2 stores the network's address, which would differ from the configuration at every run.
  const network = networkAddress(address, Number(bits));
  return network === address ? undefined : `has bits set beyond its prefix: write "${network}/${bits}"`;
}

function networkAddress(address: string, bits: number): string {
  const value = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - bits);
  const base = Math.floor(value / size) * size;
  return [24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join(".");
}

const sshCidr = z.string(WHO).superRefine((text, context) => {
  const message = text === "mine" ? undefined : cidrProblem(text);
  if (message) context.addIssue({ code: "custom", message });
});

const dataVolume = z.strictObject({
  size: z
    .int()
    .min(1)
    .max(16384)
    .optional()
    .describe("GB of the data volume; it can grow later, never shrink. Default 100."),
  id: z
    .string()
    .regex(/^vol-[0-9a-f]{8,17}$/, 'must be the id of a volume, "vol-…"')
    .optional()
    .describe(
      "Instead of a new volume: an existing one, kept from an earlier stack. It decides the zone, and is never deleted.",
    ),
  keep: z
    .boolean()
    .optional()
    .describe(
      "Whether the volume stays when the stack is destroyed. Default true; with false a last snapshot of it is kept instead.",
    ),
});

/** A data volume that is adopted, or made. */
type DataVolume = { id: string } | { size: number; keep: boolean };

/** Tags that the stack sets itself. */
const RESERVED_TAG = /^(gpubox\.|aws:|Name$)/;

/** An EC2 GPU instance that the stack makes, and everything around it. */
export const awsHostArgs = z
  .strictObject({
    kind: z.literal("aws").describe("A GPU instance on AWS that the stack makes."),
    region: z
      .string('must be a region like "us-east-1"')
      .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be a region like "us-east-1"')
      .describe("Region everything is made in."),
    profile: z
      .string()
      .min(1)
      .optional()
      .describe("Profile of ~/.aws to use. Default: whatever credentials the environment has."),
    instanceTypes: z
      .array(instanceType)
      .min(1, "must name a type")
      .refine((types) => new Set(types).size === types.length, "must not name a type twice")
      .default(["g6.xlarge"])
      .describe("Instance types in order of preference: the next is tried where one has no capacity."),
    spot: z
      .boolean()
      .default(false)
      .describe(
        "Whether to use spare capacity: cheaper, and stopped whenever AWS wants it back. A change replaces the machine; the data volume and the address stay.",
      ),
    access: z
      .enum(["ssh", "session-manager"])
      .default("ssh")
      .describe(
        'How the machine is reached: "ssh", from one network, or "session-manager", through AWS, with nothing open at all.',
      ),
    sshCidr: sshCidr
      .optional()
      .describe(
        'With `access: ssh`: the one network that may reach SSH: your address with /32; or "mine", which asks checkip.amazonaws.com for it at every run.',
      ),
    key: sshFile
      .default("~/.ssh/id_ed25519")
      .describe("Your private SSH key; the public half beside it (.pub) is all that leaves this machine."),
    user: z
      .string()
      .regex(/^[a-z_][a-z0-9_-]{0,31}$/, "must be the name of a user")
      .default("ubuntu")
      .describe("User of the image to log in as; must have sudo without a password."),
    ami: z
      .string()
      .regex(
        /^(ami-[0-9a-f]{8,17}|\/[A-Za-z0-9_./-]+)$/,
        'must be "ami-…" or the path of an SSM parameter that holds it',
      )
      .default(DEEP_LEARNING_IMAGE)
      .describe(
        "Image of the machine, or the SSM parameter with its id. An existing machine is replaced when an id is set that is not its own, never when a parameter moves on. Default: AWS's Deep Learning Base image for Ubuntu 24.04.",
      ),
    subnet: z
      .string()
      .regex(/^subnet-[0-9a-f]{8,17}$/, 'must be the id of a subnet, "subnet-…"')
      .optional()
      .describe("Subnet to use; it decides the zone. Default: the default subnets of the default VPC."),
    rootSize: z
      .int()
      .min(20)
      .max(16384)
      .default(100)
      .describe(
        "GB of the system disk, which holds the images; the image's own size where that is more. It can grow later, never shrink.",
      ),
    dataVolume: dataVolume
      .refine(
        ({ id, size, keep }) => id === undefined || (size === undefined && keep === undefined),
        "takes either `id`, or `size` and `keep`",
      )
      .transform(
        ({ id, size, keep }): DataVolume =>
          id === undefined ? { size: size ?? 100, keep: keep ?? true } : { id },
      )
      .default({ size: 100, keep: true })
      .describe("The separate disk that holds `root`: code, data and notebooks outlive the machine on it."),
    stopAfterIdle: z
      .union([z.int().min(5).max(10080), z.literal("never")], {
        error: 'must be minutes from 5 on, or "never"',
      })
      .default(60)
      .describe(
        'Minutes without a busy or recently used kernel, GPU use or login, after which the machine stops itself; or "never". Default 60.',
      ),
    maxUptimeHours: z
      .int()
      .min(1)
      .max(8760)
      .optional()
      .describe("Hours after which the machine stops itself even when it is busy. Default: none."),
    tags: z
      .record(
        z.string().refine((key) => !RESERVED_TAG.test(key), "is set by gpubox or AWS itself"),
        z.string(),
      )
      .default({})
      .describe("Further tags on everything that is made."),
    unavailable: z
      .array(placement)
      .default([])
      .describe("Types in zones to skip. `npm start` sets it for one run after AWS had no capacity."),
  })
  .superRefine(({ access, sshCidr: network }, context) => {
    const problem = (message: string) => context.addIssue({ code: "custom", path: ["sshCidr"], message });
    if (access === "ssh" && network === undefined) problem(WHO);
    if (access === "session-manager" && network !== undefined)
      problem("is only for `access: ssh`: nothing is open here");
  });

/** What an AWS host is made from, defaults filled in. */
export type AwsHostArgs = z.output<typeof awsHostArgs>;
