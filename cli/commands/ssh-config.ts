/** `npm run ssh-config`: prints a `Host` entry for a stack's machine, for plain ssh and for editors that work over it. */

import { readStack, shortName } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { type SshConnection, sshConfig } from "../../machine/ssh/command.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { readMachine } from "../hosts/remote.ts";
import { npmCommand } from "../stack.ts";
import { capture } from "../system/run.ts";

export async function sshConfigCommand(context: Context, args: Args): Promise<number> {
  const { stack } = args;
  const { host } = readStack(context.root, stack);
  if (host === "local") {
    throw new UserError(
      `stack ${stack} is on this machine: your editor can attach to its container as it is, in VS Code by "Dev Containers: Attach to Running Container"`,
    );
  }
  const connection =
    host === "ssh" ? readMachine(context.root, stack).connection : await connectionOfMachine(context, args);
  const name = `gpubox-${shortName(stack)}`;
  const known = await resolved(context, connection);
  process.stdout.write(`${sshConfig(name, connection, known)}\n`);
  return 0;
}

async function connectionOfMachine(context: Context, args: Args): Promise<SshConnection> {
  const { openSession, requireStack } = await import("../pulumi/session.ts");
  const { readOutputs } = await import("../pulumi/outputs.ts");
  const session = await openSession(context, args);
  await requireStack(session);
  const { machine } = await readOutputs(session);
  if (!machine)
    throw new UserError(
      `stack ${session.stack} has no machine yet: run \`${npmCommand("start", session.stack)}\``,
    );
  return machine.connection;
}

/** What ~/.ssh/config makes of the address: an entry of its own would not be looked up through another. */
async function resolved({ env }: Context, { address }: SshConnection): Promise<Map<string, string>> {
  const { code, stdout } = await capture("ssh", ["-G", "--", address], { env });
  const lines = code === 0 ? stdout.split("\n") : [];
  return new Map(lines.map((line) => [line.split(" ", 1)[0] ?? "", line.slice(line.indexOf(" ") + 1)]));
}
