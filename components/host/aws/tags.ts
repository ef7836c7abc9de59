/** How what a stack made is found again. */

/** The tag on everything a stack makes; its value is `<project>/<stack>`. */
export const STACK_TAG = "gpubox.stack";

/** The tag that tells a data volume from a system disk; its value is `data`. */
export const ROLE_TAG = "gpubox.role";
