/** What a stack file may say of a data set below `data/`, with every default. */
import { z } from "zod";
import { CATALOGUE, type CatalogueEntry } from "./catalogue.ts";
import { basename, folder, purge } from "./paths.ts";

const dataUrl = z
  .string("must be an http, https, file or s3 url")
  .regex(/^(https?|file|s3):\/\/\S+$/, "must be an http, https, file or s3 url")
  .refine((url) => !/^\w+:\/\/[^/?#]*@/.test(url), "must not hold credentials, which would end up in logs");

const setName = z.enum([...CATALOGUE.keys()] as [string, ...string[]], {
  error: "is not in the catalogue: docs/data.md lists the names",
});

/** What a file of its own can be called, and a line of a script hand on. */
const fileName = z
  .string()
  .min(1, "must not be empty")
  .max(200, "must be shorter")
  .regex(/^[^/\\\p{Cc}]*$/u, "must be the name of a file, without a path")
  .refine((name) => ![".", "..", ".gpubox.json"].includes(name), "cannot be the name of the file");

const dataKeys = z.strictObject({
  url: z
    .union([dataUrl.transform((url) => [url]), z.array(dataUrl).min(1, "must name a url")], {
      error: "must be an http, https, file or s3 url, or a list of them",
    })
    .optional()
    .describe(
      "Archive (zip, tar, tar.gz, tar.xz, tar.bz2, tar.zst) or plain file; or a list of mirrors, tried in order; or, on an AWS host, `s3://BUCKET/FOLDER`.",
    ),
  set: setName.optional().describe("Instead of `url`: name of a well-known set; docs/data.md lists them."),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/i, "must be the 64 hexadecimal digits that `sha256sum FILE` prints")
    .transform((hash) => hash.toLowerCase())
    .optional()
    .describe(
      "SHA-256 of the file. Without it, the hash of the first download is recorded on the host, shown, and enforced from then on.",
    ),
  size: z
    .int()
    .min(0)
    .optional()
    .describe("Size of the file in bytes; another size is an error before anything is downloaded."),
  files: z.int().min(1).optional().describe("How many files it must unpack to."),
  name: fileName
    .optional()
    .describe(
      "Name of the file; its ending says whether it is unpacked. Default: the name that the server gives it, else the last part of the url.",
    ),
  folder: folder.optional().describe("Folder below data/. Default: the file's name without its ending."),
  keepArchive: z
    .boolean()
    .default(false)
    .describe("Whether to keep the downloaded file beside what was unpacked from it."),
  purge,
});

/** A data set wherever it comes from: a set of the catalogue as the entry that somebody would have written. */
function locate({ url = [], set, ...options }: z.output<typeof dataKeys>) {
  if (set === undefined) return { url, headMd5: undefined, ...options };
  const { url: known, size, headMd5 } = CATALOGUE.get(set) as CatalogueEntry;
  return { url: [known], headMd5, ...options, size: options.size ?? size };
}

export const data = z.union(
  [
    setName.transform((set) => locate(dataKeys.parse({ set }))),
    dataKeys
      .refine(
        ({ url, set }) => (url === undefined) !== (set === undefined),
        "must have either `url` or `set`",
      )
      .transform(locate),
  ],
  { error: "must be a name of the catalogue (docs/data.md lists them), or an object" },
);

export const withDataFolder = (entry: z.output<typeof data>) => ({
  ...entry,
  folder:
    entry.folder ??
    (entry.name ?? basename(entry.url[0] as string)).replace(
      /(\.tar)?\.(zip|t[bgx]z|tbz2|tzst|gz|xz|bz2|zst|tar)$/i,
      "",
    ),
});
