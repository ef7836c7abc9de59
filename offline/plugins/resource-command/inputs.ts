/** What a `local.Command` takes, as far as the program uses it. */
import { z } from "zod";

export const inputs = z.strictObject({
  create: z.string().optional(),
  delete: z.string().optional(),
  triggers: z.array(z.unknown()).optional(),
  stdin: z.string().optional(),
  interpreter: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).optional(),
});

/** The inputs of a `command.local.Command`, all of them known. */
export type CommandInputs = z.infer<typeof inputs>;

/** What a command wrote, without its last line end. */
export interface CommandOutputs {
  stdout: string;
  stderr: string;
}
