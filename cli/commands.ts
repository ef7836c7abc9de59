/** Every command, with what it takes: the one table of them. It needs no package, so that it is there in a checkout that is not whole. */
import type { Args, Takes } from "./args.ts";
import type { Context } from "./context.ts";

export type Command = (context: Context, args: Args) => Promise<number>;

export interface Entry extends Takes {
  /** Loaded one by one: most commands need little of what the others do. */
  load: () => Promise<Command>;
}

const JSON_OPTION = { json: { type: "boolean", does: "prints JSON, for programs" } } as const;
const YES = { yes: { type: "boolean", short: "y", does: "goes ahead without asking" } } as const;
const VERBOSE = { verbose: { type: "boolean", does: "shows all that the engine says" } } as const;
const NOTEBOOK = { are: "NOTEBOOK", many: false };

export const COMMANDS: Record<string, Entry> = {
  up: {
    load: async () => (await import("./commands/up.ts")).up,
    script: "start",
    does: "brings a stack up, with everything that it takes, as its configuration says",
    stack: "there",
    options: { ...YES, ...VERBOSE },
    engine: "up",
    example: "-s lab",
  },
  preview: {
    load: async () => (await import("./commands/preview.ts")).preview,
    does: "says what `npm start` would change",
    stack: "there",
    options: VERBOSE,
    engine: "preview",
    example: "--diff",
  },
  refresh: {
    load: async () => (await import("./commands/refresh.ts")).refresh,
    does: "takes into the state what was changed behind its back",
    stack: "there",
    options: VERBOSE,
    engine: "refresh",
  },
  stop: {
    load: async () => (await import("./commands/stop.ts")).stop,
    does: "stops the notebooks, on AWS the machine, and keeps everything",
    stack: "there",
    names: { are: "NOTEBOOK", many: true },
    example: "-s lab container1",
  },
  destroy: {
    load: async () => (await import("./commands/destroy.ts")).destroy,
    does: "tears a stack down; your files stay",
    stack: "there",
    options: { ...YES, ...VERBOSE },
    engine: "destroy",
    example: "-s lab --yes",
  },
  status: {
    load: async () => (await import("./commands/status.ts")).status,
    does: "says what the notebooks, and the machine they are on, are at",
    stack: "there",
    options: JSON_OPTION,
    example: "--json",
  },
  doctor: {
    load: async () => (await import("./commands/doctor.ts")).doctor,
    does: "looks at everything that a stack depends on, and changes nothing",
    stack: "any",
    options: JSON_OPTION,
    example: "-s lab",
  },
  permissions: {
    load: async () => (await import("./commands/permissions.ts")).permissions,
    does: "prints the IAM policy that whoever runs gpubox on AWS needs",
    stack: "any",
    example: "-s aws",
  },
  open: {
    load: async () => (await import("./commands/open.ts")).open,
    does: "shows a notebook in your browser",
    stack: "there",
    names: NOTEBOOK,
    example: "container1",
  },
  url: {
    load: async () => (await import("./commands/notebook.ts")).url,
    does: "prints the url of a notebook, with its token",
    stack: "there",
    names: NOTEBOOK,
    example: "container1",
  },
  shell: {
    load: async () => (await import("./commands/notebook.ts")).shell,
    does: "gives a shell in a notebook's container",
    stack: "there",
    names: NOTEBOOK,
    example: "container1",
  },
  logs: {
    load: async () => (await import("./commands/notebook.ts")).logs,
    does: "follows the log of a notebook",
    stack: "there",
    names: NOTEBOOK,
    example: "container1",
  },
  tunnel: {
    load: async () => (await import("./commands/tunnel.ts")).tunnel,
    does: "brings the notebooks of a machine elsewhere to this one, until it is ended",
    stack: "there",
    names: NOTEBOOK,
    example: "-s lab",
  },
  "ssh-config": {
    load: async () => (await import("./commands/ssh-config.ts")).sshConfigCommand,
    does: "prints an entry for ~/.ssh/config",
    stack: "there",
    example: "-s lab",
  },
  alias: {
    load: async () => (await import("./commands/alias.ts")).alias,
    does: "prints the alias `fastai` for a shell",
    stack: "there",
    example: "-s lab",
  },
  init: {
    load: async () => (await import("./commands/init.ts")).init,
    does: "writes the file of a new stack; asks on a terminal what is not said",
    stack: "any",
    options: {
      kind: { type: "string", value: "KIND", does: "where it lands: local, ssh or aws" },
      root: { type: "string", value: "FOLDER", does: "holds code/ and data/ there" },
      target: { type: "string", value: "STAGE", does: "what is in the image: full or lab" },
      gpus: { type: "string", value: "GPUS", does: "auto, all or none" },
      data: { type: "string", value: "SETS", does: "names of the catalogue, with commas" },
      address: { type: "string", value: "NAME", does: "with ssh: the machine" },
      user: { type: "string", value: "USER", does: "with ssh: who you are there" },
      key: { type: "string", value: "FILE", does: "with ssh and aws: your private key" },
      "host-key": { type: "string", value: "KEY", does: "with ssh: the one host key it is known by" },
      region: { type: "string", value: "REGION", does: "with aws" },
      "ssh-cidr": {
        type: "string",
        value: "CIDR",
        does: "with aws: the network that may reach SSH, or mine",
      },
      "instance-types": { type: "string", value: "TYPES", does: "with aws: the best first, with commas" },
      force: { type: "boolean", does: "overwrites a file that is there" },
    },
    example: "-s lab --kind ssh --address gpu.example.org",
  },
  adopt: {
    load: async () => (await import("./commands/adopt.ts")).adopt,
    does: "takes over what a stack has on its Docker daemon, where its state is lost",
    stack: "there",
    options: YES,
    example: "-s lab --yes",
  },
  update: {
    load: async () => (await import("./commands/update.ts")).update,
    does: "moves the branches of `code` on",
    stack: "there",
    names: { are: "FOLDER", many: true },
    example: "fastbook",
  },
  purge: {
    load: async () => (await import("./commands/purge.ts")).purge,
    does: "removes what gpubox put below code/ and data/, and nothing of yours",
    stack: "there",
    names: { are: "NAME", many: true },
    options: YES,
    example: "data/pets",
  },
  env: {
    load: async () => (await import("./commands/env.ts")).env,
    does: "prints what makes plain `pulumi` work in your shell",
    stack: "there",
    example: "-s lab",
  },
  pulumi: {
    load: async () => (await import("./commands/pulumi.ts")).pulumi,
    does: "runs a command of Pulumi's, with the engine and the state of the others",
    stack: "any",
    passes: "pulumi",
    example: "stack ls",
  },
  check: {
    load: async () => (await import("../scripts/check.ts")).check,
    does: "checks what needs no daemon",
    options: { "no-tests": { type: "boolean", does: "leaves out the tests" } },
    example: "--no-tests",
  },
  test: {
    load: async () => (await import("../scripts/test.ts")).test,
    does: "runs the tests",
    passes: "vitest",
    example: "--project unit",
  },
  soak: {
    load: async () => (await import("../scripts/soak.ts")).soak,
    script: "test:soak",
    does: "runs the long campaigns; the next run goes on where this one was",
    names: { are: "FILE", many: true },
    options: {
      minutes: { type: "string", value: "N", does: "begins nothing further after so long" },
      seed: { type: "string", value: "N", does: "begins anew, with these random numbers" },
    },
    example: "--minutes 30",
  },
  bench: {
    load: async () => (await import("../scripts/bench.ts")).bench,
    does: "measures gpubox against what people use instead",
    options: {
      only: { type: "string", value: "NUMBERS", does: "the measurements to make, with commas" },
      rounds: { type: "string", value: "N", does: "rounds of each" },
      scale: { type: "string", value: "PART", does: "part of the full data set, for a quick look" },
      merge: { type: "boolean", does: "puts what is measured into the published figures" },
      docs: { type: "boolean", does: "measures nothing, and makes the page anew" },
    },
    example: "--only 1,3",
  },
  lock: {
    load: async () => (await import("../scripts/lock.ts")).lock,
    does: "renews the locks of Python packages, after a `.in` file beside one was changed",
    names: { are: "LOCK", many: true },
    options: { upgrade: { type: "boolean", does: "moves everything to its newest version" } },
    example: "--upgrade",
  },
  schema: {
    load: async () => (await import("../scripts/schema.ts")).schema,
    does: "writes schema/stack.json, after something in config/ was changed",
    options: { check: { type: "boolean", does: "only says whether it is what config.ts says" } },
    example: "--check",
  },
};
