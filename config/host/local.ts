/** What a stack file may say of a host of kind `local`. */
import { z } from "zod";

export const localHost = z.strictObject({ kind: z.literal("local").describe("This machine.") });
