/** What `image.apt`, `image.packages` and `image.requirements` add to the image. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { configError, NAMESPACE } from "./messages.ts";

/** The part of an image's configuration that is read here. */
export interface Additions {
  /** Names of Debian packages. */
  apt?: string[] | undefined;
  /** Requirements of Python packages, as pip reads them. */
  packages?: string[] | undefined;
  /** A file of such requirements, on the person's machine. */
  requirements?: string | undefined;
}

/** The project's folder, from which relative paths go. */
const PROJECT = fileURLToPath(new URL("../", import.meta.url));

/** The lines become a variable in a build, and Linux takes none of more than 131,072 bytes (MAX_ARG_STRLEN in binfmts.h). */
const LONGEST = 100_000;

/** Options of a requirements file that say where packages are looked for, and which kinds. */
const OPTIONS =
  /^(--(index-url|extra-index-url|find-links|no-index|pre|prefer-binary|only-binary|no-binary|trusted-host)|-[if])([= ]|$)/;

/** A name, extras, and what pip takes after them: nothing, versions, a url, a marker, hashes. The rest is uv's to judge. */
const REQUIREMENT =
  /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\s*(\[[A-Za-z0-9._,\s-]*\]\s*)?($|[;@(]|([<>]=?|[~!=]=)=?\s*[\w*]|--hash\b)/;

const LOCAL =
  "cannot be a file or a folder, which the build does not see: use `pip install FOLDER` in a notebook, or see docs/images.md on how to bring files into the image";

const SECRET = "must not hold credentials, which would stay in the image's history";

/** Whether a url has a password in it, as far as that can be seen. Git's own user is none. */
function holdsSecret(line: string): boolean {
  const url = line.replace(/\bssh:\/\/git@/, "ssh://");
  return (
    /:\/\/[^/?#\s]*@/.test(url) ||
    /[?&][\w-]*(token|secret|password|passwd|key|sig|signature|auth)=/i.test(url)
  );
}

/** Why a line cannot be a requirement of an image, or undefined. What only the person's machine has, a build does not. */
export function requirementProblem(line: string): string | undefined {
  if (holdsSecret(line)) return SECRET;
  if (/^(-e|--editable)\b/.test(line))
    return "cannot be editable: use `pip install -e FOLDER` in a notebook, which outlives the container";
  if (/^[./~]|^[\w.-]+\/|^[\w.-]+\.(whl|zip|tar\.\w+|tgz)\b|\bfile:|@\s*[./~]/.test(line)) return LOCAL;
  return REQUIREMENT.test(line) || /^(git\+|https?:\/\/)\S+/.test(line)
    ? undefined
    : 'must be a requirement as pip reads it, such as timm or "kornia>=0.8"';
}

/** Where a requirements file is: relative to the project's folder, absolute, or below the home folder (`~/…`). */
export const requirementsPath = (file: string, project: string, home = homedir()): string =>
  resolve(project, file.replace(/^~(?=\/)/, home));

/**
 * The lines of a requirements file.
 *
 * @param file as `requirementsPath` takes it
 * @param stack name of the stack, for the message
 * @throws UserError with everything that is wrong with it
 */
export function readRequirements(
  { requirements: file }: Additions,
  stack: string,
  project = PROJECT,
): string[] {
  if (file === undefined) return [];
  const refuse = (...problems: string[]) =>
    configError(
      stack,
      problems.map((line) => `${NAMESPACE}:image.requirements: ${line}`),
      file,
    );
  let text: string;
  try {
    text = readFileSync(requirementsPath(file, project), "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOENT" ? "is not there" : code === "EISDIR" ? "is a folder" : `cannot be read (${code})`;
    throw refuse(`${file} ${why}: the path is relative to the project's folder`);
  }
  if (/[\0\uFFFD]/.test(text)) throw refuse(`${file} is not UTF-8 text: save it as UTF-8`);
  if (text.length > LONGEST)
    throw refuse(`${file} is longer than ${LONGEST} characters: hashes, if it has them, can be left out`);
  if (/^(name|channels|dependencies|prefix):/m.test(text))
    throw refuse(
      `${file} is a conda environment: list one pip package a line, as \`pip freeze\` prints them`,
    );
  const lines = logicalLines(text);
  const problems = lines.flatMap(({ at, line }) => {
    const problem = lineProblem(line);
    return problem ? [`${file}, line ${at}: ${problem}`] : [];
  });
  if (problems.length > 0) throw refuse(...problems);
  return lines.map(({ line }) => line);
}

/** Lines as pip joins them: one that ends in a backslash goes on, unless it is a comment. Those with nothing in them are left out. */
function logicalLines(text: string): { at: number; line: string }[] {
  const joined: { at: number; line: string }[] = [];
  let goesOn = false;
  for (const [index, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    const last = joined.at(-1);
    const isComment = /^\s*#/.test(raw);
    const line = isComment ? "" : raw.replace(/\\$/, "");
    if (goesOn && last) last.line += ` ${line}`;
    else joined.push({ at: index + 1, line });
    goesOn = !isComment && raw.endsWith("\\");
  }
  return joined
    .map(({ at, line }) => ({ at, line: line.replace(/(^|\s)#.*$/, "").trim() }))
    .filter(({ line }) => line !== "");
}

function lineProblem(line: string): string | undefined {
  if (/^(-r|-c|--requirement|--constraint)\b/.test(line))
    return "cannot include another file, which the build does not see: copy its lines here";
  if (!line.startsWith("-")) return requirementProblem(line);
  if (!OPTIONS.test(line)) return requirementProblem(line) ?? "is an option that has no effect here";
  if (holdsSecret(line)) return SECRET;
  // An index is on the network: a folder of the person's is not there when the image is built.
  return /^(--find-links|-f|--index-url|-i|--extra-index-url)[= ]+(?!https?:\/\/)/.test(line)
    ? LOCAL
    : undefined;
}

/**
 * The additions as build arguments of docker/Dockerfile; none where there are none, so that a stack without them does not change.
 *
 * @param lines of the requirements file
 */
export function packageArgs({ apt = [], packages = [] }: Additions, lines: string[]): Record<string, string> {
  const python = [...lines, ...packages];
  return {
    // In order, so that the cache finds them whatever order they are written in.
    ...(apt.length > 0 && { APT_PACKAGES: [...new Set(apt)].sort().join(" ") }),
    ...(python.length > 0 && { PYTHON_PACKAGES: python.join("\n") }),
  };
}
