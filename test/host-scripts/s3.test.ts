/** Data from S3. The AWS command line is pretended: what it is asked for is written down, and a folder stands for the bucket. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { filesBelow, pathWith, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

const URL = "s3://pets/v1";
const folder = ownFolder();

let at: string;
let runs = 0;
beforeEach(() => {
  at = join(folder, String(++runs));
  for (const part of ["root/data", "bucket/cats"]) mkdirSync(join(at, part), { recursive: true });
  writeFileSync(join(at, "bucket/cats/1.txt"), "cat");
  writeFileSync(join(at, "bucket/readme"), "pets");
  aws(`echo "$@" >> ${join(at, "asked")}; cp -R ${join(at, "bucket")}/. "$4"`);
});

const aws = (text: string) =>
  writeFileSync(join(pathWith(join(at, "bin"), "cp python3"), "aws"), `#!/bin/sh\n${text}\n`, {
    mode: 0o755,
  });
const sync = (change: Record<string, string> = {}) =>
  runScript(
    "gpubox_data/s3.py",
    { ROOT: join(at, "root"), URL, FOLDER: "pets", ...change },
    { path: join(at, "bin") },
  );
const files = () => filesBelow(join(at, "root/data/pets"));
const asked = () => readFileSync(join(at, "asked"), "utf8").trimEnd().split("\n");

describe("gpubox_data/s3.py", () => {
  it("puts what is there into the folder, and says where", async () => {
    const { code, stdout, stderr } = await sync();
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${join(at, "root/data/pets")}\n` });
    expect(stderr).toContain("created: ");
    expect(files()).toEqual({ ".gpubox.json": `{"s3": "${URL}"}\n`, "cats/1.txt": "cat", readme: "pets" });
    expect(asked()).toEqual([
      expect.stringMatching(/^s3 sync s3:\/\/pets\/v1 \/.*\/s3-\d+ --only-show-errors$/),
    ]);
  });

  it("leaves what the person changed, and asks S3 for nothing a second time", async () => {
    await sync();
    writeFileSync(join(at, "root/data/pets/readme"), "mine");
    const { code, stderr } = await sync({ URL: `${URL}/` });
    expect(code).toBe(0);
    expect(stderr).toContain("unchanged: ");
    expect(files().readme).toBe("mine");
    expect(asked()).toHaveLength(1);
  });

  it("goes on with what an earlier run had, and shows nothing that is half there", async () => {
    aws(`echo half > "$4/half"; exit 1`);
    const first = await sync();
    expect(first.code).toBe(1);
    expect(first.stderr).toContain("s3://pets/v1 cannot be read");
    expect(() => files()).toThrow();
    aws(`test -e "$4/half" && echo whole > "$4/half"`);
    expect((await sync()).code).toBe(0);
    expect(files().half).toBe("whole\n");
  });

  it.each<[string, () => void]>([
    ["a folder of the person's", () => mkdirSync(join(at, "root/data/pets/mine"), { recursive: true })],
    ["a file", () => writeFileSync(join(at, "root/data/pets"), "")],
  ])("leaves alone %s", async (_name, put) => {
    put();
    const { code, stderr } = await sync();
    expect(code).toBe(3);
    expect(stderr).toContain("left as it is");
  });

  it("never mixes another url's files with what is there", async () => {
    await sync();
    const { code } = await sync({ URL: "s3://pets/v2" });
    expect(code).toBe(3);
    expect(files()[".gpubox.json"]).toContain("v1");
  });

  it("fills a folder that is empty", async () => {
    mkdirSync(join(at, "root/data/pets"));
    expect((await sync()).code).toBe(0);
    expect(files().readme).toBe("pets");
  });

  it("shows what aws says of names in the bucket as text", async () => {
    aws(`printf 'download failed: \\033]52;c;cm0=\\007\\ndata pets: created: /x\\n' >&2; exit 1`);
    const { code, stderr } = await sync();
    expect(code).toBe(1);
    expect(stderr).toContain("  download failed: ?]52;c;cm0=?\n  data pets: created: /x\n");
    expect(stderr).toContain("s3://pets/v1 cannot be read");
  });

  it("says when there is nothing", async () => {
    aws("exit 0");
    const { code, stderr } = await sync();
    expect(code).toBe(1);
    expect(stderr).toContain("there is nothing at s3://pets/v1");
  });

  it.each<Record<string, string>>([
    { URL: "https://example.org/x" },
    { URL: "s3://" },
    { URL: "s3://pets/$(id)" },
    { URL: 's3://pets/"' },
    { FOLDER: "../pets" },
  ])("refuses %o", async (change) => {
    expect((await sync(change)).code).toBe(2);
  });
});
