/** What `image.apt`, `image.packages` and `image.requirements` add to the image. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

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
const PROJECT = fileURLToPath(new URL("../../", import.meta.url));

/** More than anybody writes by hand; the lines become an argument of a build. */
const LONGEST = 100_000;

/** Options of a requirements file that say where packages are looked for, and which kinds. */
const OPTIONS =
  /^(--(index-url|extra-index-url|find-links|no-index|pre|prefer-binary|only-binary|no-binary|trusted-host)|-[if])([= ]|$)/;

/** A name, extras, and what pip takes after them: nothing, versions, a url, a marker, hashes. The rest is uv's to judge. */
const REQUIREMENT =
  /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\s*(\[[A-Za-z0-9._,\s-]*\]\s*)?($|[;@(]|([<>]=?|[~!=]=)=?\s*[\w*]|--hash\b)/;

/** Why a line cannot be a requirement of an image, or undefined. What only the person's machine has, a build does not. */
export function requirementProblem(line: string): string | undefined {
  if (/:\/\/[^/?#\s]*@/.test(line.replace(/\bssh:\/\/git@/, "ssh://")))
    return "must not hold credentials, which would stay in the image's history";
  if (/^(-e|--editable)\b/.test(line))
    return "cannot be editable: in a notebook, `pip install -e FOLDER` is, and outlives the container";
  if (/^[./~]|^[\w.-]+\/|^[\w.-]+\.whl\b|\bfile:/.test(line))
    return "cannot be a file or a folder, which the build does not see: `pip install FOLDER` in a notebook can, and docs/images.md says how to bring files into the image";
  return REQUIREMENT.test(line) || /^(git\+|https?:\/\/)\S+/.test(line)
    ? undefined
    : 'must be a requirement as pip reads it, such as timm or "kornia>=0.8"';
}

/**
 * The lines of a requirements file.
 *
 * @param file relative to the project's folder, absolute, or below the home folder (`~/…`)
 * @throws Error saying what is wrong with it, in one line
 */
export function readRequirements({ requirements: file }: Additions, project = PROJECT): string[] {
  if (file === undefined) return [];
  let text: string;
  try {
    text = readFileSync(resolve(project, file.replace(/^~(?=\/)/, homedir())), "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOENT" ? "is not there" : code === "EISDIR" ? "is a folder" : `cannot be read (${code})`;
    throw new Error(`${file} ${why}: it is looked for from the project's folder on`);
  }
  if (/[\0\uFFFD]/.test(text)) throw new Error(`${file} is no text in UTF-8: save it as that`);
  if (text.length > LONGEST) throw new Error(`${file} is longer than ${LONGEST} characters`);
  const lines = text
    .replace(/^\uFEFF/, "")
    .replace(/\\\r?\n/g, " ")
    .split(/\r?\n/)
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim());
  for (const [index, line] of lines.entries()) {
    const problem = lineProblem(line);
    if (problem) throw new Error(`${file}, line ${index + 1}: ${problem}`);
  }
  return lines.filter((line) => line !== "");
}

function lineProblem(line: string): string | undefined {
  if (line === "") return undefined;
  if (/^(-r|-c|--requirement|--constraint)\b/.test(line))
    return "cannot take in another file, which the build does not see: write its lines here";
  if (!line.startsWith("-")) return requirementProblem(line);
  if (!OPTIONS.test(line)) return requirementProblem(line) ?? "is an option that means nothing here";
  return /:\/\/[^/?#\s]*@/.test(line)
    ? "must not hold credentials, which would stay in the image's history"
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
