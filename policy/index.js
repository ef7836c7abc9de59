/**
 * `pulumi up --policy-pack policy`: refuses what would make a stack less safe.
 *
 * JavaScript, unlike the rest: the SDK compiles a pack's own TypeScript by settings in which an import may not end in `.ts`.
 */
import { PolicyPack } from "@pulumi/policy";
import { RULES } from "./rules.ts";

new PolicyPack("gpubox", {
  policies: RULES.map(({ name, description, rule }) => ({
    name,
    description,
    enforcementLevel: "mandatory",
    validateResource: ({ type, props }, reportViolation) => {
      for (const violation of rule({ type, props })) reportViolation(violation);
    },
  })),
});
