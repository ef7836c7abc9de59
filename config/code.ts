/** What a stack file may say of a git repository below `code/`, with every default. */
import { z } from "zod";
import { basename, folder, purge } from "./paths.ts";

export const code = z.strictObject({
  url: z
    .string()
    .regex(/^(https?|ssh|git|file):\/\/|^[^/:]+@[^/:]+:/, "must be the url of a git repository")
    .refine(
      (url) => !/^https?:\/\/[^/]*@/.test(url),
      "must not hold credentials: use git's credential helper",
    )
    .describe("Git repository."),
  ref: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._/-]*$/,
      "must be a commit, a tag or a branch: a letter or a digit, then letters, digits, . _ / -",
    )
    .describe(
      "Commit, tag or branch to check out. A branch stays at the commit that was first checked out: `npm run update` moves it.",
    ),
  folder: folder.optional().describe("Folder below code/. Default: the last part of the url."),
  shallow: z
    .boolean()
    .default(true)
    .describe("Whether to fetch that one commit instead of the whole history, where the server allows it."),
  submodules: z.boolean().default(false).describe("Whether to check out submodules too."),
  lfs: z
    .boolean()
    .default(false)
    .describe("Whether to fetch the files that Git LFS keeps; needs git-lfs on the host."),
  purge,
});

export const withCodeFolder = (entry: z.output<typeof code>) => ({
  ...entry,
  folder: entry.folder ?? basename(entry.url).replace(/\.git$/, ""),
});
