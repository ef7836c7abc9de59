/** What keeps a person from a daemon. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { joinedGroup } from "../../../../machine/docker/api.ts";

const folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("a group that was joined after the login is told from one that was not joined", () => {
  const socket = join(folder, "docker.sock");
  writeFileSync(socket, "");
  const { gid } = statSync(socket);
  const groups = join(folder, "group");
  writeFileSync(groups, `games:x:60000:ada\ndocker:x:${gid}:eve,ada\n`);
  const joined = (name: string, ...of: number[]) =>
    joinedGroup(`unix://${socket}`, { name, groups: of }, groups);
  expect(joined("ada", 1000)).toBe("docker");
  expect(joined("ada", 1000, gid)).toBeUndefined();
  expect(joined("bob", 1000)).toBeUndefined();
  expect(joinedGroup(`unix://${folder}/none`, { name: "ada", groups: [] }, groups)).toBeUndefined();
  expect(joinedGroup(`unix://${socket}`, { name: "ada", groups: [] }, join(folder, "none"))).toBeUndefined();
});
