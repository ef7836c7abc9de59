/** The outputs of a stack, and what the person is told of them. */
import { sourced } from "../../machine/aws/prices.ts";
import type { MachineInfo, NotebookInfo } from "../../machine/outputs.ts";
import { lookAtStack, type PlainOutputs } from "../docker/notebooks.ts";
import { npmCommand } from "../stack.ts";
import { askEngine, type Session } from "./session.ts";

/** The outputs of the program; none of them is there before the first `up` has ended well. */
export interface StackOutputs extends PlainOutputs {
  /** Their urls hold the tokens: printed for the person, never written anywhere. */
  notebooks?: NotebookInfo[];
  /** Command that brings the notebooks of a machine elsewhere here. */
  tunnel?: string;
  /** The machine that the stack made. */
  machine?: MachineInfo;
}

/** The outputs of the session's stack, secrets in clear. The engine is asked only where nobody else knows. */
export async function readOutputs(session: Session): Promise<StackOutputs> {
  const looked = await lookAtStack(session.context, session.stack);
  const notebooks = looked?.notebooks.flatMap(({ url, ...rest }) => (url ? { ...rest, url } : []));
  if (looked && notebooks?.length === looked.notebooks.length) return { ...looked.outputs, notebooks };
  return JSON.parse(await askEngine(session, ["stack", "output", "--json", "--show-secrets"]));
}

/** What the person is told when a stack is up. */
export function summary(outputs: StackOutputs, stack: string): string {
  const { notebooks = [], codeFolder, dataFolder, tunnel, machine, accelerator } = outputs;
  const npm = (script: string) => npmCommand(script, stack);
  const [, fallback] = /\bCPU \((.*)\)/.exec(accelerator ?? "") ?? [];
  const blocks = notebooks.map(({ name, url, gpus, shell, logs }) =>
    [`${name} (${gpus})`, `  open   ${url}`, `  shell  ${shell}`, `  logs   ${logs}`].join("\n"),
  );
  return [
    ...blocks,
    ...(tunnel ? [`the urls answer while a tunnel is open: ${npm("tunnel")}`, `  which is: ${tunnel}`] : []),
    ...(machine
      ? [
          `machine: ${machine.instance}, ${sourced(`${machine.cost.running} while it runs, ${machine.cost.stopped} while it is stopped`, machine.cost)}`,
        ]
      : []),
    ...(codeFolder && dataFolder ? [`files: ${codeFolder} is /code, ${dataFolder} is /data`] : []),
    ...(fallback ? [`on the CPU: ${fallback}; ${npm("doctor")} says how to fix it`] : []),
    `stop for now: ${npm("stop")} · tear down, keeping your files: ${npm("destroy")}`,
  ].join("\n");
}
