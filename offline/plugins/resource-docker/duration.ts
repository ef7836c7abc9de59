/** A duration as Go writes it (`1m30s`, `500ms`, `0`), the form in which the daemon's language reads and shows it. */
export const goDuration = /^(?:0|(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)$/;

const nanoseconds: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** The nanoseconds of a {@link goDuration}. */
export function parseDuration(duration: string): number {
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  return Math.round(
    parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (nanoseconds[unit ?? ""] ?? 0), 0),
  );
}

/** Nanoseconds the way Go prints them: `2m0s` for two minutes, `1.5s`, `500ms`. */
export function formatDuration(total: number): string {
  if (total === 0) return "0s";
  for (const unit of ["ns", "µs", "ms"] as const) {
    const next = unit === "ns" ? 1e3 : unit === "µs" ? 1e6 : 1e9;
    if (total < next) return `${total / (nanoseconds[unit] ?? 1)}${unit}`;
  }
  const minutes = Math.floor(total / 60e9);
  const seconds = `${(total - minutes * 60e9) / 1e9}s`;
  if (minutes === 0) return seconds;
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}
