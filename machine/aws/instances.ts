/** What AWS says of an instance, and what follows from it. Pure. */

/** States in which an instance is there, running or not; in any other it is ending, or has ended. */
export const THERE = ["pending", "running", "stopping", "stopped"];

/** Whether an instance is spare capacity, by the `InstanceLifecycle` that EC2 gives it. */
export const isSpot = (lifecycle: unknown): boolean => lifecycle === SPOT;

/** The lifecycle of spare capacity. */
export const SPOT = "spot";
