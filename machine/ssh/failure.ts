/** What went wrong when a machine could not be reached by SSH: which step, and how to fix it. Pure. */
import { createHash } from "node:crypto";
import { personCommand, type SshConnection } from "./command.ts";

/** A step of reaching a machine that failed. */
export interface SshFailure {
  step: "ssh itself" | "resolve" | "connect" | "host key" | "authentication" | "login shell" | "script";
  /** What is wrong and how to fix it, a line each. */
  tell: string[];
}

/** Fingerprint of a host key (`ssh-ed25519 AAAA…`), as ssh shows it. */
export function fingerprint(hostKey: string): string {
  const blob = Buffer.from(hostKey.split(/\s+/)[1] ?? "", "base64");
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** Lines of ssh's that say nothing by themselves. */
const NOISE = /^(@+$|@ {4}WARNING|Warning: Permanently added|Shared connection|ControlSocket|mux_client)/;

/** What the AWS command line and its plugin say where there is no session, before ssh says that its connection is closed. */
const SESSION_FAILED =
  /An error occurred \(\w+\) when calling|SessionManagerPlugin is not found|\b[Tt]oken\b.* expired|Unable to locate credentials/;

/** The step at which an ssh failed that said this; what to do about a host key is for `explainHostKey` to say. */
export function explainSsh(connection: SshConnection, stderr: string): SshFailure {
  const { address, user, key } = connection;
  const said = stderr.split("\n").flatMap((line) => (line.trim() && !NOISE.test(line) ? [line.trim()] : []));
  const first = (pattern: RegExp) => said.find((line) => pattern.test(line));
  const who = `${user ?? "you"} on ${address}`;

  const missing = first(/\bssh: (command )?not found$/);
  if (missing) {
    return {
      step: "ssh itself",
      tell: [
        missing,
        "there is no `ssh` on this machine: on Debian and Ubuntu `sudo apt-get install openssh-client`",
      ],
    };
  }
  const nameless = first(/^No user exists for uid/);
  if (nameless) {
    return {
      step: "ssh itself",
      tell: [
        nameless,
        "ssh needs a user name, and this machine has none for you: add an entry, `echo me:x:$(id -u):$(id -g)::$HOME:/bin/sh | sudo tee -a /etc/passwd`",
      ],
    };
  }
  const noFolder = first(/^mkdir: /);
  if (noFolder) {
    return {
      step: "ssh itself",
      tell: [
        noFolder,
        "the sockets of shared connections are in ~/.gpubox/ssh on this machine: make that folder writable for you",
      ],
    };
  }
  const bad = first(/Bad configuration option|command-line line/i);
  if (bad) return { step: "ssh itself", tell: [bad, "gpubox needs OpenSSH 8.5 or newer here: see `ssh -V`"] };
  const unresolved = first(/Could not resolve hostname/);
  if (unresolved) {
    return {
      step: "resolve",
      tell: [
        unresolved,
        `is the name right, and does \`ssh ${address}\` know it? Fix gpubox:host.address, or add a \`Host\` to ~/.ssh/config`,
      ],
    };
  }
  const changed = first(/REMOTE HOST IDENTIFICATION HAS CHANGED|has changed and you have requested strict/);
  if (changed || first(/Host key verification failed|host key is known/)) {
    return { step: "host key", tell: said.filter((line) => /Offending|host key is known/.test(line)) };
  }
  const denied = first(/Permission denied|Too many authentication failures|No supported authentication/);
  if (denied) {
    const keyTrouble = said.filter((line) => /identity|Load key|UNPROTECTED|passphrase|agent/i.test(line));
    return {
      step: "authentication",
      tell: [
        denied,
        ...keyTrouble,
        `none of your keys is accepted for ${who}, and gpubox never asks for a password: run \`ssh-add\` for a key with a passphrase, set its file as gpubox:host.key, or copy it there once with \`ssh-copy-id ${key ? `-i ${key} ` : ""}${user ? `${user}@` : ""}${address}\``,
      ],
    };
  }
  const onAws = first(SESSION_FAILED);
  if (onAws) {
    return {
      step: "connect",
      tell: [
        onAws,
        "this comes from AWS's Session Manager or its program on this machine: is the machine on, does AWS accept your credentials (`aws sts get-caller-identity`), and may you start a session with it?",
      ],
    };
  }
  const silent = first(
    /connect to host|timed out|Connection (closed|reset|refused)|kex_exchange|No route|unreachable/i,
  );
  if (silent) {
    return {
      step: "connect",
      tell: [
        silent,
        "is the machine on, and does its SSH server listen on that port? A firewall or a VPN may be in between",
      ],
    };
  }
  return { step: "login shell", tell: said.length > 0 ? said.slice(-5) : ["it ended without output"] };
}

/** What each login shell reads before any command, and the line with which it leaves off there where nobody is to read. */
const STARTUP: Record<string, { file: string; guard: string; path: (folder: string) => string }> = {
  bash: {
    file: "~/.bashrc",
    guard: "case $- in *i*) ;; *) return ;; esac",
    path: (folder) => `export PATH="$PATH:${folder}"`,
  },
  zsh: {
    file: "~/.zshenv",
    guard: "[[ -o interactive ]] || return",
    path: (folder) => `export PATH="$PATH:${folder}"`,
  },
  fish: {
    file: "~/.config/fish/config.fish",
    guard: "status is-interactive; or return",
    path: (folder) => `fish_add_path ${folder}`,
  },
  tcsh: {
    file: "~/.tcshrc or ~/.cshrc",
    guard: "if (! $?prompt) exit",
    path: (folder) => `set path = ($path ${folder})`,
  },
};

const startupOf = (shell = "") => STARTUP[shell.split("/").at(-1) ?? ""];

/** The first of what was printed, for a message. */
function glimpse(text: string): string {
  const [line = ""] = text.trim().split("\n");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal would obey
  return line.replace(/[\u0000-\u001f\u007f]/g, " ").slice(0, 120);
}

/**
 * What to say of a login shell that prints before each command, or after: Docker's clients take what the command
 * `docker system dial-stdio` prints for the daemon's own words, and the result of a script is the last line.
 *
 * @param printed what it printed
 * @param shell its path there, where that is known
 */
export function explainPrinting({ user }: SshConnection, printed: string, shell?: string): SshFailure {
  const { file, guard } = startupOf(shell) ?? {};
  return {
    step: "login shell",
    tell: [
      `the login shell of ${user ?? "yours"} there prints with each command, which Docker's clients take for the daemon's answer: ${glimpse(printed)}`,
      file
        ? `make ${file} there (or a file that it reads) print only in interactive shells, with this line at its top: ${guard}`
        : "make the files that it reads at its start there (such as ~/.ssh/rc) print nothing to standard output",
    ],
  };
}

/** What to say of a login shell that ran no command. `printed` is all that came of it. */
export function explainSilence({ user }: SshConnection, printed: string): SshFailure {
  const said = glimpse(printed);
  const files = Object.values(STARTUP).map(({ file }) => file);
  return {
    step: "login shell",
    tell: [
      `the login shell of ${user ?? "yours"} there ended before it ran a command${said ? `: ${said}` : ""}`,
      `look for \`exit\` and \`exec\` in the files that it reads at its start: ${files.join(", ")}; or it is not a shell that runs commands (\`getent passwd ${user ?? "$USER"}\` there names it)`,
    ],
  };
}

/** How to have a command over SSH find a program that is there, outside the PATH that such a command has. */
export function howToFind(program: string, shell?: string): string {
  const folder = program.replace(/\/[^/]*$/, "");
  const { file, path } = startupOf(shell) ?? {};
  return file && path
    ? `put at the top of ${file} there: ${path(folder)}`
    : `run there: sudo ln -s ${program} /usr/bin/`;
}

/** What to say of a host key that is not trusted. `offered` is the key that the machine shows, where that was found out. */
export function explainHostKey(
  connection: SshConnection,
  { tell }: Pick<SshFailure, "tell">,
  offered: string | undefined,
  stackFile: string,
): string[] {
  const { address, hostKey } = connection;
  const changed = hostKey !== undefined || tell.some((line) => line.startsWith("Offending"));
  const shown = offered ? `${offered.split(" ")[0]} ${fingerprint(offered)}` : "a key that could not be read";
  const path = `/etc/ssh/ssh_host_${keyName(offered)}_key.pub`;
  const ask = `Ask the machine itself, at its console or from its provider: ssh-keygen -lf ${path}`;
  if (changed) {
    return [
      `THE HOST KEY OF ${address} IS NOT THE ONE THAT IS TRUSTED. Either the machine was reinstalled, or somebody is intercepting the connection.`,
      `  it shows   ${shown}`,
      `  trusted    ${hostKey ? `${hostKey.split(" ")[0]} ${fingerprint(hostKey)} (gpubox:host.hostKey in ${stackFile})` : tell.join("; ")}`,
      "Nothing was sent to it, and it stays refused until you change what is trusted.",
      ask,
      ...(offered && hostKey
        ? [`Only if it says the same, replace the old one in ${stackFile} with:`, line(offered)]
        : []),
    ];
  }
  return [
    `nothing vouches for the host key of ${address}, so it is not trusted.`,
    `  it shows   ${shown}`,
    ask,
    ...(offered ? [`If it says the same, add to gpubox:host in ${stackFile}:`, line(offered)] : []),
  ];
}

const line = (offered: string) => `    hostKey: ${offered}`;

function keyName(offered = "ssh-ed25519"): string {
  if (offered.startsWith("ecdsa")) return "ecdsa";
  return offered.startsWith("ssh-rsa") ? "rsa" : "ed25519";
}

/** The whole message. */
export function unreachable(connection: SshConnection, step: string, tell: readonly string[]): string {
  return [
    `${connection.address} cannot be used (step that failed: ${step}); nothing was created:`,
    ...tell.map((each) => `  ${each}`),
    `  Try it: ${personCommand(connection, "docker info")}`,
  ].join("\n");
}
