import { z } from "zod";

/** A length: 1 or more. */
export const positive = z.int().min(1);

/** Values that have nothing to do with the random one, but make a new one when they change. */
export const keepers = z.record(z.string(), z.string()).optional();
