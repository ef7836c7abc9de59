/**
 * The configuration of a stack: what `Pulumi.<stack>.yaml` may say, checked and refused as a whole.
 *
 * It is composed of a file for each part (host/, notebook.ts, image.ts, code.ts, data.ts), which has the defaults of that part;
 * there are no others. `npm run schema` makes `schema/stack.json` from it, which editors check the stack files with.
 */
import { z } from "zod";
import { code, withCodeFolder } from "./code.ts";
import { data, withDataFolder } from "./data.ts";
import { type AnyHost, host } from "./host/index.ts";
import { type ChosenImage, image } from "./image.ts";
import { configError, describeIssue, type KEYS, type KeySchema, NAMESPACE, TOP_KEYS } from "./messages.ts";
import { notebook, overlaps, withPort } from "./notebook.ts";
import { hostPath, requireFolder, sameFolder } from "./paths.ts";

/** Folder on the host that holds `code/` and `data/` where none is named. */
export const DEFAULT_ROOT = "~/docker_mount";
type Problem = { path: PropertyKey[]; message: string };

/** Every pair of entries that `clash` objects to, as problems at the later one. */
function clashes<T>(
  key: string,
  entries: T[],
  clash: (later: T, earlier: T) => string | undefined,
): Problem[] {
  return entries.flatMap((later, index) =>
    entries.slice(0, index).flatMap((earlier) => {
      const message = clash(later, earlier);
      return message === undefined ? [] : [{ path: [key, index], message }];
    }),
  );
}

type AnyDataset = z.output<typeof data>;

/** A folder of S3 is no single file, and only a machine on AWS has a role to read it with. */
function s3Problems({ host, data: entries }: { host: AnyHost; data: AnyDataset[] }): Problem[] {
  return entries.flatMap((entry, index) => {
    if (!entry.url.some((url) => url.startsWith("s3://"))) return [];
    const { url, sha256, size, files, name, keepArchive, purge } = entry;
    const alone = url.length === 1 && !(sha256 || size || files || name || keepArchive || purge);
    return [
      ...(host.kind === "aws" ? [] : ["cannot be an s3 url on this kind of host: only an AWS host reads S3"]),
      ...(alone ? [] : ["takes only `folder` beside an s3 url: its files are copied as they are"]),
    ].map((message) => ({ path: ["data", index, "url"], message }));
  });
}

/** Where an image that is pulled has its own ENTRYPOINT, nothing of ours comes before it that could set the umask. */
function umaskProblems({
  image,
  notebooks,
}: {
  image: ChosenImage;
  notebooks: { umask?: string | undefined }[];
}): Problem[] {
  if (!("pull" in image) || image.entrypoint || !image.command) return [];
  const message =
    "cannot be set for the ENTRYPOINT of a pulled image: set that as `image.entrypoint` as well";
  return notebooks.flatMap(({ umask }, index) =>
    umask === undefined ? [] : [{ path: ["notebooks", index, "umask"], message }],
  );
}

/** The root of a machine on AWS is a disk of its own, which would hide what else is in the folder. */
function rootProblem({ host, root }: { host: AnyHost; root: string }): Problem[] {
  const folder = root.replace(/\/+$/, "");
  const hides = ["", "~", "/home", "/root"].includes(folder) || /^\/home\/[^/]+$/.test(folder);
  if (host.kind !== "aws" || !hides) return [];
  return [
    {
      path: ["root"],
      message: "must be a folder of its own on an AWS host: the data volume is mounted there",
    },
  ];
}

/** Everything that a stack file may say below `config:`, without the namespace of its keys. */
export const schema = z
  .strictObject({
    host: host.default({ kind: "local" }).describe("Where the stack lands."),
    root: hostPath
      .default(DEFAULT_ROOT)
      .describe("Folder on the host that holds code/ and data/, the notebooks' /code and /data."),
    image: image.describe("The notebooks' image: built from docker/ (the default), or one to pull."),
    code: z
      .array(code.transform(withCodeFolder).superRefine(requireFolder))
      .default([])
      .describe("Git repositories, put below code/."),
    data: z
      .array(data.transform(withDataFolder).superRefine(requireFolder))
      .default([])
      .describe("Data sets, put below data/: names of the catalogue, or objects."),
    connections: z
      .int()
      .min(1)
      .max(64)
      .default(16)
      .describe("How many connections all downloads of data sets may hold at a time."),
    notebooks: z
      .array(notebook.transform(withPort))
      .min(1, "must name at least one notebook")
      .default(() => [withPort(notebook.parse({ name: "container1" }))])
      .describe("The notebooks: one container each."),
  } satisfies Record<(typeof KEYS)[number], z.ZodType>)
  .superRefine((config, context) => {
    const problems = [
      ...rootProblem(config),
      ...s3Problems(config),
      ...umaskProblems(config),
      ...clashes("code", config.code, sameFolder),
      ...clashes("data", config.data, sameFolder),
      ...clashes("notebooks", config.notebooks, (a, b) =>
        a.name === b.name ? `has the name ${a.name} of another notebook` : undefined,
      ),
      ...clashes("notebooks", config.notebooks, (a, b) =>
        a.port === b.port ? `wants port ${a.port}, as ${b.name} does: give it another \`port\`` : undefined,
      ),
      ...clashes("notebooks", config.notebooks, (a, b) =>
        overlaps(a.gpus, b.gpus) && !(a.shareGpus && b.shareGpus)
          ? `wants a GPU that ${b.name} may use: list other \`gpus\`, or allow it with \`shareGpus: true\` in both`
          : undefined,
      ),
    ];
    for (const { path, message } of problems) context.addIssue({ code: "custom", path, message });
  });

/** The whole configuration, defaults filled in. */
export type Config = z.output<typeof schema>;
export type ImageConfig = Config["image"];
export type CodeConfig = Config["code"][number];
export type DatasetConfig = Config["data"][number];
export type NotebookConfig = Config["notebooks"][number];
export type GpuSelection = NotebookConfig["gpus"];

/**
 * Checks a configuration and fills in the defaults.
 *
 * @param raw the keys of the namespace `gpubox`, without their prefix
 */
export function checkConfig(
  raw: Record<string, unknown>,
): { config: Config; problems?: undefined } | { config?: undefined; problems: string[] } {
  const result = schema.safeParse(raw);
  if (result.success) return { config: result.data };
  const about = { raw, schema: keySchema() };
  // Two rules can object to one value in the same words.
  return { problems: [...new Set(result.error.issues.flatMap((issue) => describeIssue(about, issue)))] };
}

/**
 * Checks a configuration and fills in the defaults.
 *
 * @param raw the keys of the namespace `gpubox`, without their prefix
 * @param stack name of the stack, for the message
 * @throws UserError naming every bad key at once
 */
export function parseConfig(raw: Record<string, unknown>, stack: string): Config {
  const { config, problems } = checkConfig(raw);
  if (config) return config;
  throw configError(stack, problems);
}

let keys: (KeySchema & Record<string, unknown>) | undefined;

/** JSON schema of the keys, without their namespace. Made once: it takes some milliseconds. */
function keySchema(): KeySchema & Record<string, unknown> {
  keys ??= z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as typeof keys & object;
  return keys;
}

/** JSON schema of a stack file, for editors; see `npm run schema`. */
export function stackJsonSchema(): object {
  const { properties, ...rest } = keySchema();
  delete rest.$schema;
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "gpubox stack",
    description: "Pulumi.<stack>.yaml of gpubox. Generated by `npm run schema`; do not edit.",
    type: "object",
    properties: {
      ...Object.fromEntries(TOP_KEYS.map((key) => [key, {}])),
      config: {
        ...rest,
        type: ["object", "null"],
        properties: Object.fromEntries(
          Object.entries(properties ?? {}).map(([key, value]) => [`${NAMESPACE}:${key}`, value]),
        ),
        // Other namespaces (docker:host, pulumi:tags …) are theirs to check.
        patternProperties: { [`^(?!${NAMESPACE}:)[^:]+:`]: {} },
      },
    },
    additionalProperties: false,
  };
}
