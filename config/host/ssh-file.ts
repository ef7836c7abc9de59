import { z } from "zod";

/** A file on the machine of the person, whose path an option of ssh can carry. */
export const sshFile = z
  .string()
  .regex(/^(~\/|\/)/, "must be absolute, or start with ~/")
  .refine((path) => !/["\\$]|\p{Cc}/u.test(path), 'must not contain ", \\ or $');
