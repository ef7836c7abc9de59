/** How long something goes on still. Runs on any Node from 20 on with nothing installed: the installation says it, too. */

/** @see time-left.d.mts */
export function timeLeft(elapsed, { least, most }) {
  if (elapsed >= most) return "longer than expected";
  if (most - elapsed < 60) return "less than a minute left";
  const [low, high] = [least, most].map((whole) => Math.ceil((whole - elapsed) / 60));
  if (low === high) return `about ${high} min left`;
  return low < 1 ? `up to ${high} min left` : `${low} to ${high} min left`;
}
