/** The outputs of a stack, and what the person is told of them. */

import type { MachineInfo } from "../components/host/host.ts";
import { Problem } from "./say.ts";
import { askEngine, requireStack, type Session } from "./session.ts";

/** A notebook as the program's output `notebooks` has it. */
export interface NotebookOutput {
  name: string;
  /** Holds the token: printed for the person, never written anywhere. */
  url: string;
  gpus: string;
  port: number;
  /** Command that opens a shell in it. */
  shell: string;
  /** Command that follows its log. */
  logs: string;
}

/** The outputs of the program; none of them is there before the first `up` has ended well. */
export interface StackOutputs {
  notebooks?: NotebookOutput[];
  codeFolder?: string;
  dataFolder?: string;
  accelerator?: string;
  image?: string;
  /** Command that brings the notebooks of a machine elsewhere here. */
  tunnel?: string;
  /** The machine that the stack made. */
  machine?: MachineInfo;
}

/** The outputs of the session's stack, secrets in clear. */
export async function readOutputs(session: Session): Promise<StackOutputs> {
  return JSON.parse(await askEngine(session, ["stack", "output", "--json", "--show-secrets"]));
}

/**
 * A notebook of the stack.
 *
 * @param name its name; the first one when it is not given
 * @throws Problem when the stack is not up or has no such notebook
 */
export async function findNotebook(session: Session, name?: string): Promise<NotebookOutput> {
  await requireStack(session);
  const { notebooks = [] } = await readOutputs(session);
  if (notebooks.length === 0) throw new Problem(`stack ${session.stack} is not up: run \`npm start\``);
  const notebook = name === undefined ? notebooks[0] : notebooks.find((each) => each.name === name);
  if (notebook) return notebook;
  throw new Problem(
    `stack ${session.stack} has no notebook ${name}; it has ${notebooks.map((each) => each.name).join(", ")}`,
  );
}

/** What the person is told when a stack is up. */
export function summary(outputs: StackOutputs, stack: string): string {
  const { notebooks = [], codeFolder, dataFolder, tunnel, machine } = outputs;
  const option = stack === "dev" ? "" : ` -- -s ${stack}`;
  const blocks = notebooks.map(({ name, url, gpus, shell, logs }) =>
    [`${name} (${gpus})`, `  open   ${url}`, `  shell  ${shell}`, `  logs   ${logs}`].join("\n"),
  );
  return [
    ...blocks,
    ...(tunnel
      ? [`the urls answer while a tunnel is open: npm run tunnel${option}`, `  which is: ${tunnel}`]
      : []),
    ...(machine
      ? [
          `machine: ${machine.instance}, ${machine.cost.running} while it runs, ${machine.cost.stopped} while it is stopped`,
        ]
      : []),
    ...(codeFolder && dataFolder ? [`files: ${codeFolder} is /code, ${dataFolder} is /data`] : []),
    `stop for now: npm run stop${option} · tear down, keeping your files: npm run destroy${option}`,
  ].join("\n");
}
