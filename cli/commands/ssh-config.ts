/** `npm run ssh-config`: prints a `Host` entry for a stack's machine, for plain ssh and for editors that work over it. */

import { shortName } from "../../config/stack-file.ts";
import { type SshConnection, sshConfig } from "../../machine/ssh/command.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { presentHost } from "../hosts/index.ts";
import { openable } from "../session.ts";
import { capture } from "../system/run.ts";

export async function sshConfigCommand(context: Context, args: Args): Promise<number> {
  const { stack } = args;
  const host = await presentHost({ context, stack });
  const connection = await host.login(openable(context, args));
  const name = `gpubox-${shortName(stack)}`;
  const known = await resolved(context, connection);
  process.stdout.write(`${sshConfig(name, connection, known)}\n`);
  return 0;
}

/** What ~/.ssh/config makes of the address: an entry of its own would not be looked up through another. */
async function resolved({ env }: Context, { address }: SshConnection): Promise<Map<string, string>> {
  const { code, stdout } = await capture("ssh", ["-G", "--", address], { env });
  const lines = code === 0 ? stdout.split("\n") : [];
  return new Map(lines.map((line) => [line.split(" ", 1)[0] ?? "", line.slice(line.indexOf(" ") + 1)]));
}
