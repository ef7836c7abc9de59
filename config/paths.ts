/** Paths as a stack file may have them. Pure. */
import { z } from "zod";

/** What Docker's `SOURCE:TARGET` cannot carry. */
export const noColon = (path: string) => !path.includes(":");

export const NO_COLON = "must not contain a colon, which Docker takes as the separator";

/** What a message cannot show as it is. */
export const NO_CONTROL = "must not contain a line break or another control character";

export const noControl = (path: string) => !/\p{Cc}/u.test(path);

/** A folder on the host: absolute, or below the home folder of the person (`~/…`). */
export const hostPath = z
  .string()
  .regex(/^(~$|~\/|\/)/, "must be absolute, or start with ~/")
  .refine((path) => !path.split("/").includes(".."), "must not contain ..")
  .refine(noColon, NO_COLON)
  .refine(noControl, NO_CONTROL)
  .refine((path) => !/^[/.]+$/.test(path), "must be a folder, not the whole file system");

/** A folder directly below `code/` or `data/`: one that cannot lead out of it, nor collide with our own. */
export const folder = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/,
    "must be a relative path without ..",
  );

export const purge = z
  .boolean()
  .default(false)
  .describe(
    "Whether to delete its files when the entry leaves the stack file or the stack is destroyed. What you changed or added is kept.",
  );

/** Last part of a url, without query and fragment. */
export function basename(url: string): string {
  const path = url.replace(/[?#].*$/, "").replace(/\/+$/, "");
  return path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf(":")) + 1);
}

/** The folder of an entry that names none comes from its name or url, and that may end in anything, ".." included. */
export function requireFolder(
  entry: { folder: string; name?: string | undefined },
  context: z.core.$RefinementCtx,
): void {
  if (folder.safeParse(entry.folder).success) return;
  const where =
    entry.name === undefined ? "the url does not end in a usable name" : "`name` is not usable as one";
  const message = `is needed, because ${where}`;
  context.addIssue({ code: "custom", path: ["folder"], message });
}

export const sameFolder = (a: { folder: string }, b: { folder: string }) =>
  `${a.folder}/`.startsWith(`${b.folder}/`) || `${b.folder}/`.startsWith(`${a.folder}/`)
    ? `wants folder ${a.folder}, which overlaps ${b.folder} of another entry: give it another \`folder\``
    : undefined;
