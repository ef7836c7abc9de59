/** The text of a new stack's file, from what its person answered. Pure. */

import { parseConfigFile } from "../config/load.ts";
import { type Config, DEFAULT_ROOT } from "../config/schema.ts";

/** What a person says of a new stack; what is left out is at its default. */
export interface Answers {
  kind: "local" | "ssh" | "aws";
  /** With ssh: the machine. */
  address?: string;
  user?: string;
  hostKey?: string;
  /** With aws. */
  region?: string;
  sshCidr?: string;
  instanceTypes?: string[];
  /** Private key, with ssh and aws. */
  key?: string;
  root?: string;
  target?: "full" | "lab";
  gpus?: "auto" | "all" | "none";
  /** Names of the catalogue. */
  data?: string[];
}

/** The flags without which nothing can be written, by kind. */
export const REQUIRED: Record<Answers["kind"], (keyof Answers)[]> = {
  local: [],
  ssh: ["address"],
  aws: ["region", "sshCidr"],
};

/** A value as YAML has it: a plain word as it is, and everything else as JSON, which is YAML. */
const value = (of: unknown) =>
  typeof of === "string" && /^[a-z~][\w./~-]*$/i.test(of) && !/^(true|false|null|yes|no|on|off|~)$/i.test(of)
    ? of
    : JSON.stringify(of);

/** `key: value`, or the same as a comment where nothing was said. */
const line = (key: string, of: unknown, example: string) =>
  of === undefined ? `    # ${key}: ${example}` : `    ${key}: ${value(of)}`;

function hostLines(answers: Answers): string[] {
  const { address, user, key, hostKey, region, sshCidr, instanceTypes } = answers;
  if (answers.kind === "local") return ["    kind: local"];
  if (answers.kind === "ssh") {
    return [
      "    kind: ssh",
      "    # Its name or address, or a Host of your ~/.ssh/config.",
      line("address", address, "gpu.example.org"),
      "    # Who you are there, and the private key that lets you in; by default as your ssh has it.",
      line("user", user, "ada"),
      line("key", key, "~/.ssh/id_ed25519"),
      "    # The one host key it is known by, from /etc/ssh/ssh_host_ed25519_key.pub there; by default ~/.ssh/known_hosts counts.",
      line("hostKey", hostKey, "ssh-ed25519 AAAA…"),
    ];
  }
  return [
    "    kind: aws",
    line("region", region, "us-east-1"),
    '    # The one network that may reach SSH: your address with /32, or "mine" to have it looked up at every run.',
    line("sshCidr", sshCidr, "mine"),
    "    # In order of preference: the next is tried where one has no capacity. docs/aws.md says what they cost.",
    line("instanceTypes", instanceTypes, "[g6.xlarge, g5.xlarge]"),
    "    # Your private key; its .pub beside it is all that leaves this machine.",
    line("key", key, "~/.ssh/id_ed25519"),
    "    # Holds code and data in GB, and stays when the stack is destroyed.",
    "    # dataVolume: {size: 100}",
    "    # Minutes without use after which the machine stops itself.",
    "    # stopAfterIdle: 60",
  ];
}

/** A notebook's name and port. */
export type NotebookPlace = Pick<Config["notebooks"][number], "name" | "port">;

/** The first name and the first port that no other stack has: two that are up side by side would want the same. */
export function freeNotebook(others: Pick<Config, "notebooks">[]): NotebookPlace {
  const taken = others.flatMap(({ notebooks }) => notebooks);
  let [index, port] = [1, 8888];
  while (taken.some(({ name }) => name === `container${index}`)) index++;
  while (taken.some((each) => each.port === port)) port++;
  return { name: `container${index}`, port };
}

/** The file of a stack. */
export function stackText(
  name: string,
  answers: Answers,
  notebook: NotebookPlace = freeNotebook([]),
): string {
  const { root = DEFAULT_ROOT, target = "full", gpus = "auto", data = [] } = answers;
  const where = { local: "this machine", ssh: "a machine reached by SSH", aws: "a GPU instance on AWS" };
  return `${[
    "# yaml-language-server: $schema=./schema/stack.json",
    `# Stack ${name}: ${where[answers.kind]}. docs/configuration.md has the table of keys.`,
    "config:",
    "  gpubox:host:",
    ...hostLines(answers),
    "  # Holds code/ and data/ there, which the notebooks see as /code and /data.",
    `  gpubox:root: ${value(root)}`,
    "  # full has torch and fastai, lab only JupyterLab; or the reference of an image to pull.",
    "  gpubox:image:",
    `    target: ${value(target)}`,
    "  gpubox:notebooks:",
    "    # auto: the GPUs there are, else the CPU; all: every GPU, and an error where there is none; none: the CPU.",
    `    - name: ${value(notebook.name)}`,
    `      gpus: ${value(gpus)}`,
    `      port: ${notebook.port}`,
    "  # Names of the catalogue, docs/data.md, or urls.",
    ...(data.length > 0
      ? ["  gpubox:data:", ...data.map((set) => `    - ${value(set)}`)]
      : ["  # gpubox:data: [pets]"]),
    "  # Git repositories, at a commit, tag or branch.",
    "  # gpubox:code:",
    "  #   - url: https://github.com/fastai/fastbook.git",
    "  #     ref: master",
  ].join("\n")}\n`;
}

/** What the program makes of a stack's file. @throws ConfigError naming every bad key */
export function readBack(text: string, name: string): Config {
  return parseConfigFile(Buffer.from(text), name);
}
