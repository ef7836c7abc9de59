/**
 * The commands' side of the seam: what they need of the machine that a stack is on. Each kind of host is one file beside this one;
 * index.ts chooses it, once, and no command asks which it is. The program's side is `DockerHost` in components/host/host.ts.
 */
import type { HostConfig } from "../../config/host/index.ts";
import type { Config } from "../../config/schema.ts";
import type { Check } from "../../machine/checks/check.ts";
import type { DockerEndpoint } from "../../machine/docker/endpoint.ts";
import type { HostNeeds } from "../../machine/facts.ts";
import type { SshConnection } from "../../machine/ssh/command.ts";
import type { Context } from "../context.ts";
import type { State } from "../pulumi/checkpoint.ts";
import type { StackOutputs } from "../pulumi/outputs.ts";
import type { Session } from "../pulumi/session.ts";

/** A stack that a command is about. A session is one, too. */
export interface StackRef {
  context: Context;
  /** As the person wrote it. */
  stack: string;
}

/** A stack, and how to get the engine for it: that takes long, and is not always needed. */
export interface OpenableStack extends StackRef {
  open: () => Promise<Session>;
}

/** A way to a Docker daemon. */
export interface ReachedDaemon {
  docker: DockerEndpoint;
  /** The way to its machine; undefined where that is this one. */
  connection?: SshConnection;
}

/** What has to be done before the engine can be run on a stack. */
export interface Awake {
  /** Arguments for `pulumi up`. */
  args: string[];
  /** Whether an instance that the arguments have replaced is gone, and nothing lost by that any more. */
  isGone: boolean;
  /** What is to be done before the engine, once the person has agreed. */
  first?: () => Promise<void>;
}

/** What tearing a stack down takes beside the engine. */
export interface TearDown {
  /** What is to be done before the engine, once the person has agreed. */
  first: () => Promise<void>;
  /** What the person is told to be there still, once the engine is done. */
  whatStays: (outputs: StackOutputs) => Promise<string>;
}

/** What is known of the machine that a stack made. */
export interface MachineState {
  /** `running`, `stopped` …; `gone` or `unknown`. */
  state: string;
  /** Why it is not known, or what there is to do about it. */
  problem?: string;
}

/** What the commands need of the machine that a stack is on. */
export interface StackHost {
  kind: HostConfig["kind"];
  /** Whether it is this machine: its folders and its notebooks' urls are within reach as they are. */
  isHere: boolean;
  /** Whether bringing a stack up there costs money, so that the person is asked before the first start. */
  costsMoney: boolean;
  /** Where its Docker daemon is; undefined where a way to it has to be opened first. @throws UserError where that is no address */
  endpoint(context: Context): DockerEndpoint | undefined;
  /** Opens a way to its Docker daemon. @throws UserError naming the step that failed, or that there is no such way */
  reach(stack: StackRef): Promise<ReachedDaemon>;
  /** The way to the machine by SSH, where it answers; undefined where it is this one. @throws UserError where it does not */
  connect(stack: OpenableStack): Promise<SshConnection | undefined>;
  /** How the machine is reached by SSH, whether it answers or not. @throws UserError where it has no SSH */
  login(stack: OpenableStack): Promise<SshConnection>;
  /** Everything about it that a stack depends on. What cannot be looked at is a check that fails. */
  checks(stack: StackRef, config: Config, needs: HostNeeds): Promise<Check[]>;
  /** Installs or starts what only a person at a terminal can agree to. @returns whether something was done */
  install(context: Context): Promise<boolean>;
  /** Sees to it that its Docker daemon is there; undefined where the engine makes the machine. @throws UserError */
  prepare(session: Session): Promise<ReachedDaemon | undefined>;
  /** Sees to it that the engine finds the machine as it expects it. @throws UserError where it cannot be had so */
  wake(session: Session, state: State): Promise<Awake>;
  /** `pulumi up`. @returns the engine's exit status */
  up(session: Session, args: string[]): Promise<number>;
  /** Stops notebooks and keeps everything. @param names of those that are meant; all without any. @returns exit status */
  stop(stack: OpenableStack, names: string[]): Promise<number>;
  /** What the machine that the stack made is at; undefined where the stack made none. */
  machineState(session: Session): Promise<MachineState | undefined>;
  /** Sees to it that what is torn down is within reach. @throws UserError where it is not */
  readyToTearDown(session: Session): Promise<void>;
  /** Looks at what a destroy would meet, before the person is asked. @throws UserError where it cannot succeed */
  tearDown(session: Session, state: State): Promise<TearDown>;
}
