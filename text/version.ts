/** Versions of programs. Pure. */

/** Whether a version is at least another, part by part: "9.10" is newer than "9.9". */
export function atLeast(version: string, oldest: string): boolean {
  const parts = (text: string) => text.split(".").map((part) => Number.parseInt(part, 10) || 0);
  const [have, want] = [parts(version), parts(oldest)];
  const differs = want.findIndex((part, index) => (have[index] ?? 0) !== part);
  return differs < 0 || (have[differs] ?? 0) > (want[differs] ?? 0);
}
