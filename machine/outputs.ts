/** What the program says of a stack once it is up: what the commands read of its outputs. */
import type { SshConnection } from "./ssh/command.ts";

/** A machine that the stack made, for people and for the commands that deal with it. */
export interface MachineInfo {
  /** Id of the instance. */
  instance: string;
  /** Id of the volume that holds the root. */
  dataVolume: string;
  connection: SshConnection;
  /** What it costs, in words, and who says so; an earlier version's state has no source. */
  cost: { running: string; stopped: string; source?: string };
}

/** What a person needs to know of a running notebook. */
export interface NotebookInfo {
  name: string;
  /** Address with the token: a secret. */
  url: string;
  /** What it computes on: "CPU", or its GPUs. */
  gpus: string;
  /** Port on the host. */
  port: number;
  /** Command that opens a shell in it. */
  shell: string;
  /** Command that follows its log. */
  logs: string;
}

/** The data root, by the output that says where its `code/` is. */
export const dataRootOf = (codeFolder: string): string => codeFolder.replace(/\/code$/, "");
