/** People of a lane: its own /etc/passwd and /etc/group, which nothing outside it sees. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";

const NAME = "ada";

/**
 * Has the lane we are in know somebody by name, with groups and with ids for user namespaces. Needs root.
 *
 * @param folder where its files are kept
 * @param groups numbers by name
 * @returns the name
 */
export async function enlist(
  folder: string,
  uid: number,
  groups: Record<string, number> = {},
): Promise<string> {
  const own = join(folder, "etc");
  mkdirSync(own, { recursive: true });
  const put = async (name: string, lines: string[]) => {
    writeFileSync(join(own, name), `${lines.join("\n")}\n`, { mode: 0o644 });
    await execa("mount", ["--bind", join(own, name), `/etc/${name}`]);
  };
  const others = (name: string) =>
    readFileSync(`/etc/${name}`, "utf8")
      .split("\n")
      .filter((line) => line !== "" && line.split(":")[2] !== String(uid) && line.split(":")[0] !== NAME);
  await put("passwd", [...others("passwd"), `${NAME}:x:${uid}:${uid}::/nonexistent:/bin/sh`]);
  const joined = Object.entries(groups).map(([name, gid]) => `${name}:x:${gid}:${NAME}`);
  const kept = others("group").filter((line) => !Object.keys(groups).includes(line.split(":")[0] as string));
  await put("group", [...kept, `${NAME}:x:${uid}:`, ...joined]);
  for (const name of ["subuid", "subgid"]) await put(name, [`${NAME}:100000:65536`]);
  return NAME;
}
