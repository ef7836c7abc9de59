/** What a quick look at the machine of a stack finds: enough to tell whether it is still the one that the program found. */
import type { State } from "../../pulumi/checkpoint.ts";
import type { StackRef } from "../host.ts";

/** What a quick look found. */
export interface Glance {
  /** The machine's Docker daemon, as in DOCKER_HOST. */
  docker: string;
  /** Whether the stack's folders are on this machine. */
  isHere: boolean;
  /** Everything about the machine that the program depends on: the same text for as long as that stays so. */
  facts: string;
}

/** Looks at the machine of a stack. @throws where it does not answer */
export type Look = (stack: StackRef, state: State) => Promise<Glance>;
