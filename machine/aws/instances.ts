/** What AWS says of an instance, and what follows from it. Pure. */

/** States in which an instance is there, running or not; in any other it is ending, or has ended. */
export const THERE = ["pending", "running", "stopping", "stopped"];

/** How AWS is asked for those that are spare capacity; `isSpot` reads the same off one. */
export const ON_SPOT = { name: "instance-lifecycle", values: ["spot"] };

/** Whether an instance is spare capacity, by the lifecycle that EC2 gives it. */
export const isSpot = (lifecycle: unknown): boolean => ON_SPOT.values.includes(String(lifecycle));
