/** An instance on AWS as the host of a stack, for the commands. */
import { UserError } from "../../errors.ts";
import type { State } from "../pulumi/checkpoint.ts";
import { readOutputs } from "../pulumi/outputs.ts";
import type { Session } from "../pulumi/session.ts";
import { readState } from "../pulumi/state.ts";
import { stackCommand } from "../stack.ts";
import { say } from "../ui/say.ts";
import { upWithCapacity } from "./aws/capacity.ts";
import { awsChecks } from "./aws/doctor.ts";
import {
  endAdrift,
  endStrays,
  findMachine,
  forgetHanging,
  prepareInstance,
  stopMachine,
  takenBack,
} from "./aws/instance.ts";
import { dataVolumeOf, whatStaysOnAws } from "./aws/volume.ts";
import { byEngineAlone } from "./existing-machine.ts";
import type { OpenableStack, StackHost, TearDown } from "./host.ts";

export const awsHost: StackHost = {
  kind: "aws",
  isHere: false,
  costsMoney: true,
  endpoint: () => undefined,
  reach: async ({ stack }) => {
    throw new UserError(
      `adopt: stack ${stack} is on AWS, and only its lost state knew its machine: set its data volume as \`dataVolume: {id: vol-…}\`; docs/aws.md says how`,
    );
  },
  connect: async ({ stack, open }) => {
    const session = await open();
    const { machine } = await readOutputs(session);
    const state = (await findMachine(session, await readState(session)))?.state ?? "not there";
    if (machine && state === "running") return machine.connection;
    throw new UserError(
      `the machine of stack ${stack} is ${state}: \`${stackCommand("up", stack)}\` brings it back`,
    );
  },
  login: async ({ stack, open }) => {
    const { machine } = await readOutputs(await open());
    if (machine) return machine.connection;
    throw new UserError(`stack ${stack} has no machine yet: run \`${stackCommand("up", stack)}\``);
  },
  checks: (_, { host }) => awsChecks(host as Parameters<typeof awsChecks>[0]),
  install: async () => false,
  prepare: async () => undefined,
  readyToTearDown: async () => {},
  wake: prepareInstance,
  up: upWithCapacity,
  stop: stopWhole,
  machineState: async (session) => {
    try {
      const found = await findMachine(session, await readState(session));
      return found?.interrupted ? { ...found, problem: takenBack(session, found) } : found;
    } catch (error) {
      return { state: "unknown", problem: (error as Error).message };
    }
  },
  tearDown,
};

/** The whole machine: it costs money while it runs. */
async function stopWhole({ stack, open }: OpenableStack, names: string[]): Promise<number> {
  if (names.length > 0) {
    throw new UserError(
      "stop: on AWS the whole machine is stopped, because that is what costs money: leave out the notebook's name",
    );
  }
  const session = await open();
  const machine = await findMachine(session, await readState(session));
  if (machine) await stopMachine(session, machine);
  else say(`stack ${stack} has no machine`);
  return 0;
}

async function tearDown(session: Session, state: State): Promise<TearDown> {
  // Where its file wants another kind by now, nothing says as whom AWS is to be asked.
  if (session.settings?.host !== "aws") return byEngineAlone(session.stack, " (on its host)");
  const machine = await findMachine(session, state);
  const volume = dataVolumeOf(state);
  if (machine?.state === "gone") await forgetHanging(session, state);
  return {
    first: async () => {
      await endStrays(session, state);
      if (machine?.adrift) await endAdrift(session, state, machine);
    },
    whatStays: () => whatStaysOnAws(session, state, volume),
  };
}
