/** What a machine that was there before the stack has in common with others of its kind, and what is left there of a stack. */
import type { StackOutputs } from "../pulumi/outputs.ts";
import { runEngine } from "../pulumi/run-engine.ts";
import type { StackHost, TearDown } from "./host.ts";

/** Nothing of it is made, started or paid for by a stack. */
export const existingMachine: Pick<StackHost, "costsMoney" | "wake" | "up" | "machineState"> = {
  costsMoney: false,
  wake: async () => ({ args: [], isGone: false }),
  up: (session, args) => runEngine(session, "up", args),
  machineState: async () => undefined,
};

/** That tearing a stack down takes the engine alone. @param where the person's files are, where that is not this machine */
export function byEngineAlone(stack: string, where: "" | " (on its host)"): TearDown {
  return { first: async () => {}, whatStays: async (outputs) => whatStays(outputs, stack, where) };
}

function whatStays({ codeFolder, dataFolder, image }: StackOutputs, stack: string, where: string): string {
  const files = codeFolder && dataFolder ? `your files in ${codeFolder} and ${dataFolder}` : "your files";
  const left = image ? `${files}, and the image (\`docker rmi ${image}\` removes it)` : files;
  return `stack ${stack} is torn down. What stays${where}: ${left}.`;
}
