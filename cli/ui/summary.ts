/** What the person is told when a stack is up. */
import { sourced } from "../../machine/aws/prices.ts";
import type { StackOutputs } from "../pulumi/outputs.ts";
import { stackCommand } from "../stack.ts";

/** What is said in place of what a start has changed. */
export const UNCHANGED = "unchanged: everything is as the configuration says; nothing to do";

/** The notebooks with how each is reached, where the files are, and what ends it; with the tokens, so for a terminal alone. */
export function summary(outputs: StackOutputs, stack: string): string {
  const { notebooks = [], codeFolder, dataFolder, tunnel, machine, accelerator } = outputs;
  const command = (script: string) => stackCommand(script, stack);
  const [, fallback] = /\bCPU \((.*)\)/.exec(accelerator ?? "") ?? [];
  const blocks = notebooks.map(({ name, url, gpus, shell, logs }) =>
    [`${name} (${gpus})`, `  open   ${url}`, `  shell  ${shell}`, `  logs   ${logs}`].join("\n"),
  );
  return [
    ...blocks,
    ...(tunnel
      ? [`the urls answer while a tunnel is open: ${command("tunnel")}`, `  which is: ${tunnel}`]
      : []),
    ...(machine
      ? [
          `machine: ${machine.instance}, ${sourced(`${machine.cost.running} while it runs, ${machine.cost.stopped} while it is stopped`, machine.cost)}`,
        ]
      : []),
    ...(codeFolder && dataFolder ? [`files: ${codeFolder} is /code, ${dataFolder} is /data`] : []),
    ...(fallback ? [`on the CPU: ${fallback}; ${command("doctor")} says how to fix it`] : []),
    `stop for now: ${command("stop")} · tear down, keeping your files: ${command("destroy")}`,
  ].join("\n");
}
