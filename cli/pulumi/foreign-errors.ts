/**
 * What the engine, its plugins, Docker or ssh say when something is wrong that they alone can see, in our own words, with how to fix it:
 * one table. docs/troubleshooting.md has a row for each.
 */
import { z } from "zod";
import { dockerLogin, missingHelper, registryOf } from "../../machine/docker/registry-login.ts";
import { socketProblem } from "../../machine/ssh/command.ts";
import { commandLine } from "../../text/command-line.ts";
import type { Env } from "../system/run.ts";

/** What an explanation may have to name. */
export interface About {
  stack: string;
  /** Where the passphrase comes from, in words. */
  passphrase: string;
  /** The engine that is used. */
  engine: string;
  /** HOME. */
  home: string;
}

/** An error of somebody else's. */
interface ForeignError {
  said: RegExp;
  /** What is wrong, and how to fix it. */
  explain(match: RegExpExecArray, about: About): string;
}

const TABLE: ForeignError[] = [
  {
    said: /docker-credential-([\w.-]+)\W+(?:executable file not found|resolves to executable|no such file)/,
    explain: ([, helper]) => missingHelper(helper as string),
  },
  {
    said: /(?:\b(?:cause|E): (.+)\n(?:.*\n){0,9}?.*)?gpubox: the packages of `image\.(apt|packages)`/,
    explain: ([, why, kind]) =>
      `gpubox:image: packages that \`${kind === "apt" ? "apt" : "packages` or `requirements"}\` lists cannot be installed as requested${why ? `: ${why.trim()}` : "; the failed step says why"}. Fix or remove that line; running notebooks keep their image`,
  },
  {
    said: /pulling image (\S+?): .*(?:pull access denied|unauthorized|no basic auth credentials|authentication required|denied: )/,
    explain: ([, image]) => {
      const registry = registryOf(image as string);
      return `the registry ${registry} does not serve ${image} without a login: if the name is right, log in on this machine with \`${dockerLogin(registry)}\`, as a user who may read it; that login is used wherever the stack lands`;
    },
  },
  {
    said: /could not find an available, non-overlapping IPv4 address pool|all predefined address pools have been fully subnetted/,
    explain: () =>
      "Docker has no address left for another network: `docker network prune` removes unused networks; `default-address-pools` in /etc/docker/daemon.json adds addresses",
  },
  {
    said: /OOM-killed|[Mm]inimum memory limit allowed is/,
    explain: () =>
      "the memory that gpubox:notebooks gives the container is too little for it to start: raise `memory`, or leave it out",
  },
  {
    said: /Bind for (\S+) failed: port is already allocated/,
    explain: ([, port], { stack }) =>
      `${port} is taken by another container; \`docker ps\` shows which. If it is a notebook that is no longer in the stack file, \`${commandLine("up", "-s", stack)}\` without further arguments stops it first`,
  },
  {
    said: /incorrect passphrase/,
    explain: (_, { stack, passphrase }) =>
      `the passphrase from ${passphrase} is not the one that protects the secrets of stack ${stack}: put the right one there. docs/troubleshooting.md says what to do if it is lost`,
  },
  {
    said: /unsupported checkpoint version|needs support for the following features|is newer than what this version of the Pulumi CLI understands|features that are not supported by this version of the Pulumi CLI/,
    explain: (_, { stack, engine }) =>
      `the state of stack ${stack} was written by a newer Pulumi than this one (${engine}), and was not touched: update gpubox with \`git pull\`, or the \`pulumi\` on your PATH`,
  },
  {
    said: /unable to validate AWS credentials|configured AWS credentials are invalid or have expired|failed to refresh cached credentials|no valid credential sources for .* found/,
    explain: () =>
      "AWS rejects the credentials (gpubox:host.profile, or those of your environment): log in again, with `aws sso login` or `aws configure`; `aws sts get-caller-identity` says who you are",
  },
  {
    said: /ControlPath too long|too long for Unix domain socket/,
    explain: (_, { home }) =>
      socketProblem(home) ?? "the path of ssh's socket is too long: set a shorter TMPDIR or HOME",
  },
];

/** What there is to say about errors, each once; nothing for those that nobody knows. */
export function explain(said: string, about: About): string[] {
  return TABLE.flatMap((each) => {
    const match = each.said.exec(said);
    return match ? [each.explain(match, about)] : [];
  });
}

const event = z.object({
  diagnosticEvent: z
    .object({ urn: z.string().optional(), message: z.string(), severity: z.string() })
    .optional(),
});

/** A build's steps print why one fails, and the official plugin's error has no more than its exit status. */
const BUILD = /\$docker:index\/image:Image::/;

/**
 * The errors in what the engine did, and before them what builds printed, one JSON object a line; a killed one has not ended its
 * last line. Nothing where there is no error.
 */
export function errorsOf(events: string): string {
  const said = events.split("\n").flatMap((line) => {
    const { diagnosticEvent } = event.safeParse(parse(line)).data ?? {};
    return diagnosticEvent ? [diagnosticEvent] : [];
  });
  if (!said.some(({ severity }) => severity === "error")) return "";
  return said
    .filter(({ severity, urn = "" }) => severity === "error" || BUILD.test(urn))
    .map(({ message }) => message)
    .join("\n");
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** What there is to name about a session. Pure. */
export function about({ stack, env, engine }: { stack: string; env: Env; engine: { file: string } }): About {
  const { PULUMI_CONFIG_PASSPHRASE: given, PULUMI_CONFIG_PASSPHRASE_FILE: file } = env;
  const passphrase = given !== undefined || !file ? "PULUMI_CONFIG_PASSPHRASE" : file;
  return { stack, passphrase, engine: engine.file, home: env.HOME ?? "" };
}
