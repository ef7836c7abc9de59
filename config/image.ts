/** What a stack file may say of the notebooks' image, with every default. */
import { z } from "zod";
import { NO_CONTROL, noControl } from "./paths.ts";
import { type Additions, packageArgs, readRequirements, requirementProblem } from "./requirements.ts";

/** An image's name as Docker's `reference` package has it: server, path, tag, digest. */
const IMAGE = (() => {
  const server = String.raw`(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d+)?`;
  const part = "[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*";
  const tag = String.raw`\w[\w.-]{0,127}`;
  const digest = "[A-Za-z][A-Za-z0-9+._-]*:[0-9a-fA-F]{32,}";
  return new RegExp(`^(?:${server}/)?${part}(?:/${part})*(?::${tag})?(?:@${digest})?$`);
})();

const imageReference = z
  .string()
  .min(1, { abort: true })
  .regex(
    IMAGE,
    "must be the reference of an image, such as docker.io/library/debian:12: its name in lower case",
  );

/** A Python package as pip reads it. */
const requirement = z
  .string()
  .refine(noControl, NO_CONTROL)
  .superRefine((line, context) => {
    const message = requirementProblem(line);
    if (message) context.addIssue({ code: "custom", message });
  });

const debianPackage = z.string().regex(
  // With a "-" at its end it would be one to remove.
  /^[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]*[A-Za-z0-9.+:~])?$/,
  "must be the name of a Debian package, such as graphviz",
);

const imageKeys = z.strictObject({
  target: z
    .enum(["full", "lab"])
    .optional()
    .describe(
      'Stage of docker/Dockerfile to build: "full" (default) has torch and fastai, "lab" only JupyterLab.',
    ),
  args: z
    .record(z.string(), z.string())
    .optional()
    .describe("Build arguments of docker/Dockerfile, e.g. BASE: the image to build from."),
  packages: z
    .array(requirement)
    .optional()
    .describe('Python packages to add, e.g. [timm, "kornia>=0.8"]; what the image has stays at its version.'),
  apt: z.array(debianPackage).optional().describe("Debian packages to add, e.g. [ffmpeg]."),
  requirements: z
    .string()
    .min(1, "must not be empty")
    .refine(noControl, NO_CONTROL)
    .optional()
    .describe(
      "File of Python packages to add, as pip's requirements files; relative to the project's folder.",
    ),
  pull: imageReference
    .optional()
    .describe("Reference of an image to pull instead, e.g. streaminterrupt/fastai:cuda9-cudnn7-ubuntu16.04."),
  command: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("With `pull`: the command that starts Jupyter on $JUPYTER_PORT. Default: whichever it has."),
  entrypoint: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("With `pull`: replaces the image's ENTRYPOINT; `command` holds its arguments."),
  user: z
    .enum(["host", "image"])
    .optional()
    .describe(
      'With `pull`: the user in the container, "host" (default), you, or "image", the user of the image.',
    ),
});

export type ChosenImage =
  | {
      pull: string;
      command: string[] | undefined;
      entrypoint: string[] | undefined;
      user: "host" | "image";
    }
  | ({ target: "full" | "lab"; args: Record<string, string> } & Additions);

/** What only an image that is built can have. */
const BUILD_KEYS = ["target", "args", "packages", "apt", "requirements"] as const;

/** Which image: one to pull, or one to build. */
function chooseImage(keys: z.output<typeof imageKeys>): ChosenImage {
  const { pull, command, entrypoint, user, target, args, packages, apt, requirements } = keys;
  return pull === undefined
    ? { target: target ?? "full", args: args ?? {}, packages, apt, requirements }
    : { pull, command, entrypoint, user: user ?? "host" };
}

export const image = z
  .union(
    [
      imageReference.transform((pull) => chooseImage({ pull })),
      imageKeys
        .refine(
          ({ pull, ...build }) => !pull || !BUILD_KEYS.some((key) => build[key]),
          "cannot be pulled and built: leave out `pull`, or `target`, `args`, `packages`, `apt` and `requirements`",
        )
        .refine(
          ({ pull, command, entrypoint, user }) => pull || !(command || entrypoint || user),
          "takes `command`, `entrypoint` and `user` only with `pull`",
        )
        .transform(chooseImage),
    ],
    { error: "must be the reference of an image to pull, or an object" },
  )
  .default(() => chooseImage({}));

/** The stage of docker/Dockerfile that an image is built of, and every build argument. @param requirements lines of the file it names */
export function stageAndArgs(
  image: Exclude<ChosenImage, { pull: string }>,
  requirements: string[],
): { target: string; args: Record<string, string> } {
  return { target: image.target, args: { ...image.args, ...packageArgs(image, requirements) } };
}

/** Lines of the requirements file that an image names; none without one. @throws UserError saying what is wrong with it */
export function requirementsOf(image: ChosenImage, stack: string): string[] {
  return "pull" in image ? [] : readRequirements(image, stack);
}
