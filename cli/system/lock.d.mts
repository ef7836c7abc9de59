/**
 * Runs an action while holding the lock at `path`; waits while another living process holds it.
 *
 * A holder that was killed is recognised by its silence: its lock is taken over after 15 seconds.
 *
 * @param path file of the lock; its folder must exist
 * @param action what to do meanwhile
 * @param onWait told once, with the process id of the holder, before a wait
 */
export function withLock<T>(
  path: string,
  action: () => T | Promise<T>,
  onWait?: (holder: string) => void,
): Promise<T>;
