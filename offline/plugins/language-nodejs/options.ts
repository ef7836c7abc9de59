import { z } from "zod";

const options = z.strictObject({ typescript: z.boolean().default(true) });

/** `runtime.options` in Pulumi.yaml, as far as the stand-in supports them. */
export type Options = z.infer<typeof options>;

/** @throws when Pulumi.yaml asks for something that the stand-in does not know. */
export function parseOptions(raw: Record<string, unknown>): Options {
  const parsed = options.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw new Error(
    `Pulumi.yaml: runtime.options: ${z.prettifyError(parsed.error)}\n` +
      "the stand-in for pulumi-language-nodejs knows the option `typescript` only; put the official plugin on PATH",
  );
}
