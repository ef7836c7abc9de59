/** The ssh command line: the only place that knows ssh's options. Pure. */
import { createHash } from "node:crypto";
import { shellLine } from "../../text/shell.ts";

/** How a machine is reached by SSH. What is left out is as the person's ~/.ssh/config and agent have it. */
export interface SshConnection {
  /** Name or address of the machine, or a `Host` of ~/.ssh/config. */
  address: string;
  user?: string;
  port?: number;
  /** Private key file; absolute, or `~/…`. */
  key?: string;
  /** The machine's only valid host key, as in its `/etc/ssh/ssh_host_ed25519_key.pub`: `ssh-ed25519 AAAA…`. */
  hostKey?: string;
  /** Instead of `hostKey`: file in the format of ~/.ssh/known_hosts, which is used when both are left out. */
  knownHosts?: string;
  /** Command whose input and output are the connection, where there is no way to the address itself; ssh's own tokens hold. */
  proxyCommand?: string;
}

/**
 * Folder of the sockets of shared connections. HOME is left to ssh and the shell, so that the same command is in the state
 * on whichever machine the stack is run from; the path is short, as a unix socket's may have 104 bytes on some systems.
 */
// biome-ignore lint/suspicious/noTemplateCurlyInString: for ssh, which knows the variable in this form alone
const CONTROL_FOLDER = "${HOME}/.gpubox/ssh";

/** Shell command that makes the folder of the sockets, for the person alone: ssh fails without it, and uses what others put there. */
const MAKE_CONTROL_FOLDER = `(umask 077 && mkdir -p "${CONTROL_FOLDER}" && chmod go-rwx "${CONTROL_FOLDER}" "${CONTROL_FOLDER}/..")`;

/** What follows the folder in the path of a socket: a name of our own, and what ssh puts behind it while it makes one. */
const NAME_LENGTH = 12;
const SSH_SUFFIX = ".0123456789abcdef";

/** Bytes that the path of a unix socket may have. */
const socketLimit = (platform: NodeJS.Platform) => (platform === "darwin" ? 103 : 107);

/**
 * Why ssh cannot share connections where the home folder is this one; undefined where it can.
 *
 * @param home what HOME says, which ssh goes by
 */
export function socketProblem(
  home: string,
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: for ssh
  const rest = CONTROL_FOLDER.replace("${HOME}", "").length + "/".length + NAME_LENGTH + SSH_SUFFIX.length;
  const limit = socketLimit(platform) - rest;
  const length = Buffer.byteLength(home);
  return length <= limit
    ? undefined
    : `the path of your home folder is too long for ssh's sockets in it: it has ${length} bytes, and ${limit} are allowed. Create a shorter link to it, \`sudo ln -s "$HOME" /home/g\`, and run the command again with \`HOME=/home/g\` in front`;
}

/** Seconds until an attempt to connect is given up. */
const CONNECT_TIMEOUT = 15;

const option = (name: string, value: string | number): string[] => ["-o", `${name}=${value}`];

/** A file in an option: quoted for ssh, with what ssh would take for a token escaped, and independent of who runs it. */
function optionFile(path: string): string {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: for ssh
  return `"${path.replaceAll("%", "%%").replace(/^~(?=\/)/, "${HOME}")}"`;
}

/** What decides how the machine is reached, whether it is the right one, and who we are to it. */
function identityOptions({ key, hostKey, knownHosts, proxyCommand }: SshConnection): string[] {
  return [
    ...(proxyCommand === undefined ? [] : option("ProxyCommand", proxyCommand)),
    ...option("StrictHostKeyChecking", "yes"),
    ...(hostKey === undefined
      ? knownHosts === undefined
        ? []
        : option("UserKnownHostsFile", optionFile(knownHosts))
      : [
          // No file to lose, to share or to clean up: ssh asks a command what it may trust, and that says the pinned key.
          ...option("KnownHostsCommand", `/bin/echo %H ${hostKey.split(/\s+/).slice(0, 2).join(" ")}`),
          ...option("UserKnownHostsFile", "/dev/null"),
          ...option("GlobalKnownHostsFile", "/dev/null"),
        ]),
    ...(key === undefined
      ? []
      : // Else an agent with many keys uses up the attempts that a server allows.
        [...option("IdentityFile", optionFile(key)), ...option("IdentitiesOnly", "yes")]),
  ];
}

const remoteOptions = ({ user, port }: SshConnection): string[] => [
  ...(user === undefined ? [] : ["-l", user]),
  ...(port === undefined ? [] : ["-p", String(port)]),
];

/**
 * Options of every connection that the program opens, without user, port and address: the docker provider's `sshOpts`.
 *
 * All of them share one connection. Its socket is named after all that decides whom it was made with, so that a
 * configuration with another host key never goes on with what was checked against the old one.
 */
export function sshOptions(connection: SshConnection): string[] {
  const { address, user, port, key, hostKey, knownHosts } = connection;
  const name = createHash("sha256")
    .update(JSON.stringify([address, user, port, key, hostKey, knownHosts]))
    .digest("hex")
    .slice(0, NAME_LENGTH);
  return [
    // There is nobody to answer a question.
    ...option("BatchMode", "yes"),
    // What ~/.ssh/config may want of a person's own sessions there, and its silence about what is wrong.
    ...option("RemoteCommand", "none"),
    ...option("ClearAllForwardings", "yes"),
    ...option("LogLevel", "INFO"),
    ...identityOptions(connection),
    ...option("ConnectTimeout", CONNECT_TIMEOUT),
    // Half a minute after a machine went away the shared connection ends; with one more attempt that is within the minute.
    ...option("ServerAliveInterval", 10),
    ...option("ServerAliveCountMax", 2),
    ...option("ControlMaster", "auto"),
    ...option("ControlPath", `${CONTROL_FOLDER}/${name}`),
    ...option("ControlPersist", 60),
  ];
}

/** Words of the command that runs `remote`, a command line, on the machine. */
export function sshCommand(
  connection: SshConnection,
  remote: string,
  extra: readonly string[] = [],
): string[] {
  return [
    ...["ssh", ...remoteOptions(connection), ...sshOptions(connection), ...extra, "-T"],
    ...["--", connection.address, remote],
  ];
}

/** The `host` of the docker provider. */
export function dockerUrl({ address, user, port }: SshConnection): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return `ssh://${user === undefined ? "" : `${user}@`}${host}${port === undefined ? "" : `:${port}`}`;
}

/** Remote command line that runs the script on its standard input, whatever the login shell is. */
const RUN_STDIN = `sh -c 'eval "$(cat)"'`;

/** Lines between which a script's own output is: the person's login shell may print before it, and after. */
const [BEGIN, END] = ["--- gpubox: begin ---", "--- gpubox: end ---"];

/** Like `RUN_STDIN`, with those lines. */
const RUN_STDIN_BETWEEN = `sh -c 'echo "${BEGIN}"; (eval "$(cat)"); status=$?; printf "\\n%s\\n" "${END}"; exit $status'`;

/** Shell line that runs the script on its standard input on the machine, for `ownOutput` to read. */
export function inspectionScript(connection: SshConnection): string {
  return `${MAKE_CONTROL_FOLDER} && exec ${shellLine(sshCommand(connection, RUN_STDIN_BETWEEN))}`;
}

/** What a script printed, and what the login shell printed `around` it; undefined where the script did not begin. */
export function ownOutput(stdout: string): { printed: string; around: string } | undefined {
  const begin = stdout.indexOf(`${BEGIN}\n`);
  if (begin < 0) return undefined;
  const rest = stdout.slice(begin + BEGIN.length + 1);
  const end = rest.lastIndexOf(`\n${END}\n`);
  if (end < 0) return { printed: rest, around: stdout.slice(0, begin) };
  return { printed: rest.slice(0, end), around: stdout.slice(0, begin) + rest.slice(end + END.length + 2) };
}

/** Shell line that runs the script on its standard input on the machine. */
export function remoteScript(connection: SshConnection): string {
  return `${MAKE_CONTROL_FOLDER} && exec ${shellLine(sshCommand(connection, RUN_STDIN))}`;
}

/** Lines before `loggedSsh`: what ssh itself says goes to a file, apart from what the script says. */
const LOGGED = [`${MAKE_CONTROL_FOLDER} && log=$(mktemp) || exit 1`, `trap 'rm -f "$log"' EXIT`];

const loggedSsh = (connection: SshConnection): string =>
  `ssh -E "$log" ${shellLine(sshCommand(connection, RUN_STDIN).slice(1))}`;

/** What ssh, or what goes before it on AWS, says when it is not the machine that is missing, but its trust in us or ours in it. */
const REFUSED =
  "Permission denied|Host key verification failed|Too many authentication failures|AccessDenied|Expired[A-Za-z]*Token|SessionManagerPlugin is not found|Unable to locate credentials";

/** Shell condition: whether that is what ssh has said. */
const REFUSED_BY_LOG = `grep -Eq ${shellLine([REFUSED])} "$log"`;

/**
 * Scripts that wait and look, for TIMEOUT seconds at most, and change nothing that matters: where the connection is lost meanwhile, they are run
 * again from their beginning. Any other may have done half of what it is there for.
 */
const MAY_RUN_AGAIN = ["wait-for-notebook.sh", "prove-folders.sh", "look-over-packages.sh", "prove-gpu.sh"];

/** Shell line that runs a script, on its standard input with these parameters, on the machine. */
export function scriptOnMachine(
  connection: SshConnection,
  script: string,
  { TIMEOUT }: { TIMEOUT?: string },
): string {
  return MAY_RUN_AGAIN.includes(script) && TIMEOUT !== undefined
    ? patientScript(connection, Number(TIMEOUT))
    : remoteScript(connection);
}

/** Like `remoteScript`, for a script that may run again: a connection that is lost is tried again for so many seconds. */
function patientScript(connection: SshConnection, patience: number): string {
  return [
    ...LOGGED,
    "script=$(cat)",
    `end=$(($(date +%s) + ${patience}))`,
    "while :; do",
    '  : >"$log"',
    `  printf '%s\\n' "$script" | ${loggedSsh(connection)}`,
    "  status=$?",
    // 255 is ssh's own; no script of ours ends with it.
    '  if [ "$status" -ne 255 ]; then exit "$status"; fi',
    '  cat "$log" >&2',
    `  if ${REFUSED_BY_LOG} || [ "$(date +%s)" -ge "$end" ]; then exit 255; fi`,
    `  printf '%s\\n' ${shellLine([`${connection.address}: the connection is lost; trying again`])} >&2`,
    "  sleep 2",
    "done",
  ].join("\n");
}

/** A login of its own: ssh takes the first of two settings of an option. */
const NOT_SHARED = [...option("ControlMaster", "no"), ...option("ControlPath", "none")];

const ownLogin = (connection: SshConnection, remote: string): string =>
  shellLine(["ssh", ...NOT_SHARED, ...sshCommand(connection, remote).slice(1)]);

/**
 * Like `remoteScript`, by a login of its own, on a machine that was logged in to before: its SSH server may be starting anew, as
 * cloud-init has it do once it has changed its settings, and refuse a connection meanwhile.
 */
export function newLoginScript(connection: SshConnection): string {
  return [
    "script=$(cat)",
    "for pause in 1 2 4 8 0; do",
    `  printf '%s\\n' "$script" | ${ownLogin(connection, RUN_STDIN)}`,
    "  status=$?",
    // 255 is ssh's own; no script of ours ends with it.
    '  if [ "$status" -ne 255 ] || [ "$pause" = 0 ]; then exit "$status"; fi',
    '  sleep "$pause"',
    "done",
  ].join("\n");
}

/** Shell line that logs in, by a login of its own, and out again. */
export function loginCommand(connection: SshConnection): string {
  return ownLogin(connection, "true");
}

/**
 * Like `remoteScript`, for what is done when a resource is deleted: succeeds where the machine does not answer, and says
 * what was therefore left, so that what is gone for good can still be forgotten.
 *
 * @param left lines to say then
 */
export function forgivingScript(connection: SshConnection, left: readonly string[]): string {
  return [
    ...LOGGED,
    loggedSsh(connection),
    "status=$?",
    // 255 is ssh's own; no script of ours ends with it.
    'if [ "$status" -ne 255 ]; then exit "$status"; fi',
    'cat "$log" >&2',
    `if ${REFUSED_BY_LOG}; then exit 1; fi`,
    ...left.map((line) => `printf '%s\\n' ${shellLine([line])} >&2`),
  ].join("\n");
}

/** The command a person types to run something on the machine. */
export function personCommand(
  connection: SshConnection,
  remote: string | undefined,
  options: readonly string[] = [],
): string {
  const words = ["ssh", ...options, ...remoteOptions(connection), ...identityOptions(connection)];
  return [
    shellLine([...words, connection.address]),
    ...(remote === undefined ? [] : [shellLine([remote])]),
  ].join(" ");
}

/**
 * An entry of ~/.ssh/config for the machine: with it plain ssh, and all that goes by it, check what the program checks.
 *
 * @param name what the machine is called then
 * @param known what ssh says of the address by now (`ssh -G`), lower-case names
 */
export function sshConfig(name: string, connection: SshConnection, known: Map<string, string>): string {
  const { address, user = known.get("user"), port = known.get("port"), proxyCommand } = connection;
  const jump = known.get("proxyjump");
  const identity = identityOptions(connection).filter((word) => word !== "-o");
  const lines = [
    `HostName ${known.get("hostname") ?? address}`,
    ...(user === undefined ? [] : [`User ${user}`]),
    ...(port === undefined ? [] : [`Port ${port}`]),
    ...(jump === undefined || jump === "none" || proxyCommand !== undefined ? [] : [`ProxyJump ${jump}`]),
    ...identity.map((setting) => setting.replace("=", " ")),
  ];
  return [`Host ${name}`, ...lines.map((line) => `  ${line}`)].join("\n");
}

/** The command a person types to reach ports of the machine's loopback: `[local, remote]` each. */
export function tunnelCommand(
  connection: SshConnection,
  ports: readonly (readonly [number, number])[],
): string {
  const forwards = ports.flatMap(([local, remote]) => ["-L", `${local}:127.0.0.1:${remote}`]);
  return personCommand(connection, undefined, [
    ...["-N", ...forwards],
    ...option("ExitOnForwardFailure", "yes"),
    ...option("ServerAliveInterval", 15),
  ]);
}

/**
 * Words of a command that has ssh write the key that the machine offers into a file, by the very way it would connect
 * (aliases and jump hosts included, which ssh-keyscan knows nothing of), and trust nothing: it does not log in.
 */
export function keyscanCommand(connection: SshConnection, file: string): string[] {
  const { hostKey: _, knownHosts: __, ...rest } = connection;
  return [
    ...["ssh", ...option("StrictHostKeyChecking", "accept-new")],
    ...option("UserKnownHostsFile", optionFile(file)),
    ...option("GlobalKnownHostsFile", "/dev/null"),
    ...option("HashKnownHosts", "no"),
    ...option("PreferredAuthentications", "none"),
    ...option("ControlPath", "none"),
    ...sshCommand(rest, "true").slice(1),
  ];
}
