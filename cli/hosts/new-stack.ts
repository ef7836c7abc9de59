/** What is asked, and written into the file of a new stack, about its host. */
import type { HostConfig } from "../../config/host/index.ts";

/** What a person says of a host. */
export interface HostAnswers {
  address?: string;
  user?: string;
  hostKey?: string;
  region?: string;
  sshCidr?: string;
  instanceTypes?: string[];
  /** Private key. */
  key?: string;
}

/** A key of `gpubox:host`. */
interface HostKey {
  key: keyof HostAnswers;
  /** Stands above it in the file. */
  comment?: string;
  /** Written as a comment where nothing was said. */
  example: string;
  /** The question for it at a terminal; not asked without one. */
  ask?: string;
  /** Answer that is offered. */
  offered?: string;
  /** Whether nothing can be written without it. */
  isRequired?: boolean;
}

/** A kind of host, for a new stack. */
interface NewHost {
  /** What its stack is called where no name is given. */
  stack: string;
  /** In the first line of the file. */
  where: string;
  /** Answer to where the GPU is. */
  choice: string;
  keys: HostKey[];
  /** Further lines of the file. */
  comments: string[];
}

export const NEW_HOSTS: Record<HostConfig["kind"], NewHost> = {
  local: {
    stack: "dev",
    where: "this machine",
    choice: "on this machine",
    keys: [],
    comments: [],
  },
  ssh: {
    stack: "lab",
    where: "a machine reached by SSH",
    choice: "on a machine that I reach by SSH",
    keys: [
      {
        key: "address",
        comment: "Its name or address, or a Host of your ~/.ssh/config.",
        example: "gpu.example.org",
        ask: "Its name or address, or a Host of your ~/.ssh/config:",
        isRequired: true,
      },
      {
        key: "user",
        comment: "Who you are there, and the private key that lets you in; by default as your ssh has it.",
        example: "ada",
        ask: "Who you are there (empty: as your ssh has it):",
      },
      { key: "key", example: "~/.ssh/id_ed25519" },
      {
        key: "hostKey",
        comment:
          "The one host key it is known by, from /etc/ssh/ssh_host_ed25519_key.pub there; by default ~/.ssh/known_hosts counts.",
        example: "ssh-ed25519 AAAA…",
      },
    ],
    comments: [],
  },
  aws: {
    stack: "aws",
    where: "a GPU instance on AWS",
    choice: "on AWS: a machine that is made for it, and costs money",
    keys: [
      { key: "region", example: "us-east-1", ask: "Region:", offered: "us-east-1", isRequired: true },
      {
        key: "sshCidr",
        comment:
          'The one network that may reach SSH: your address with /32, or "mine" to have it looked up at every run.',
        example: "mine",
        ask: "Network that may reach SSH, or mine:",
        offered: "mine",
        isRequired: true,
      },
      {
        key: "instanceTypes",
        comment:
          "In order of preference: the next is tried where one has no capacity. docs/aws.md says what they cost.",
        example: "[g6.xlarge, g5.xlarge]",
        ask: "Types, the best first:",
        offered: "g6.xlarge, g5.xlarge, g4dn.xlarge",
      },
      {
        key: "key",
        comment: "Your private key; its .pub beside it is all that leaves this machine.",
        example: "~/.ssh/id_ed25519",
      },
    ],
    comments: [
      "Holds code and data in GB, and stays when the stack is destroyed.",
      "dataVolume: {size: 100}",
      "Minutes without use after which the machine stops itself.",
      "stopAfterIdle: 60",
    ],
  },
};
