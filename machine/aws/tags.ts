/** How what a stack made is found again. */

/** The tag on everything a stack makes; its value is `<project>/<stack>`. */
export const STACK_TAG = "gpubox.stack";

/** The tag that tells a data volume from a system disk; its value is `data`. */
export const ROLE_TAG = "gpubox.role";

/** The value of `ROLE_TAG` on the snapshot that a data volume leaves. */
export const LAST_SNAPSHOT = "last-snapshot";

/** What ends the name of the entry that removes the data volume with the stack; one that keeps it has no `delete`. */
export const DATA_REMOVAL = "-data-removal";
