/** What a stack file may say of a host of kind `ssh`. */
import { z } from "zod";
import { sshFile } from "./ssh-file.ts";

export const sshHost = z.strictObject({
  kind: z.literal("ssh").describe("A machine that you reach by SSH."),
  address: z
    .string()
    .regex(
      /^[A-Za-z0-9_:][A-Za-z0-9_.:-]*$/,
      "must be a name or an address, without `user@` and `ssh://`: those are `user` and `port`",
    )
    .describe("Its name or address, or a `Host` of ~/.ssh/config."),
  user: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, "must be the name of a user")
    .optional()
    .describe("User to log in as. Default: as ~/.ssh/config says, else your user name on this machine."),
  port: z
    .int()
    .min(1)
    .max(65535)
    .optional()
    .describe("Port of its SSH server. Default: as ~/.ssh/config says, else 22."),
  key: sshFile
    .optional()
    .describe(
      "Private key file on your machine. Default: your agent's keys and those that ssh tries by default.",
    ),
  hostKey: z
    .string()
    .regex(
      /^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]{40,}={0,3}( .*)?$/,
      "must be a public host key, as in /etc/ssh/ssh_host_ed25519_key.pub there: `ssh-ed25519 AAAA…`",
    )
    .optional()
    .describe("Its host key, the only one that is trusted: `ssh-ed25519 AAAA…`."),
  knownHosts: sshFile
    .optional()
    .describe("Instead of `hostKey`: file of host keys on your machine. Default: ~/.ssh/known_hosts."),
});
