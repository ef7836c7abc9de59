import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageArgs, readRequirements, requirementProblem } from "../../../config/requirements.ts";

const folder = mkdtempSync(join(tmpdir(), "gpubox-packages-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a requirement", () => {
  it.each([
    "timm",
    "kornia>=0.8",
    "numpy >=2, <2.4",
    "transformers[torch]~=4.50",
    "a_b.c-d==1.0 ; python_version < '3.12'",
    "timm @ https://example.org/timm-1.0-py3-none-any.whl",
    "git+https://github.com/fastai/fastai.git@main",
    "git+ssh://git@github.com/fastai/fastai.git",
  ])("is taken: %s", (line) => {
    expect(requirementProblem(line)).toBeUndefined();
  });

  it.each([
    ["", "must be a requirement"],
    ["timm kornia", "must be a requirement"],
    ["timm; rm -rf /", undefined],
    ["$(reboot)", "must be a requirement"],
    ["timm=1.0", "must be a requirement"],
    ["--index-url=https://example.org", "must be a requirement"],
    ["-e ./fastai", "cannot be editable"],
    ["./fastai", "cannot be a file or a folder"],
    ["wheels/timm.whl", "cannot be a file or a folder"],
    ["timm-1.0-py3-none-any.whl", "cannot be a file or a folder"],
    ["timm @ file:///home/ada/timm", "cannot be a file or a folder"],
    ["git+https://ada:secret@example.org/timm.git", "must not hold credentials"],
    ["timm @ https://token@example.org/timm.whl", "must not hold credentials"],
    ["timm @ https://example.org/timm.whl?X-Amz-Signature=ab", "must not hold credentials"],
    ["timm @ ../timm", "cannot be a file or a folder"],
    ["timm-1.0.tar.gz", "cannot be a file or a folder"],
  ])("is refused: %s", (line, problem) => {
    // A marker is uv's to judge; nothing of a line is run.
    if (problem === undefined) expect(requirementProblem(line)).toBeUndefined();
    else expect(requirementProblem(line)).toContain(problem);
  });
});

describe("a requirements file", () => {
  const read = (content: string | Buffer) => {
    writeFileSync(join(folder, "more.txt"), content);
    return readRequirements({ requirements: "more.txt" }, "dev", folder);
  };

  it("is read as pip does: comments, long lines, line ends of Windows, options, hashes", () => {
    const hash = "0".repeat(64);
    const text = [
      "\uFEFF# all of ours",
      "",
      "timm  # models",
      "--extra-index-url https://download.pytorch.org/whl/cu126",
      "kornia==0.8 \\",
      `    --hash=sha256:${hash}`,
      "git+https://example.org/x.git#egg=x",
    ].join("\r\n");
    expect(read(text)).toEqual([
      "timm",
      "--extra-index-url https://download.pytorch.org/whl/cu126",
      `kornia==0.8      --hash=sha256:${hash}`,
      "git+https://example.org/x.git#egg=x",
    ]);
  });

  it("does not go on after a comment, and counts the lines that are written", () => {
    expect(read("# see C:\\models\\\nsix\nidna")).toEqual(["six", "idna"]);
    expect(() => read("six \\\n  --hash=sha256:0 \\\n  --hash=sha256:1\n\n/foo")).toThrow(
      "line 5: cannot be a file",
    );
  });

  it("has everything that is wrong with it told at once", () => {
    expect(() => read("-e .\nsix\n./foo.whl\nhttps://ada:secret@example.org/x.whl")).toThrow(
      /line 1: .*\n.*line 3: .*\n.*line 4: must not hold credentials/,
    );
  });

  it.each([
    ["-r others.txt", "line 1: cannot include another file"],
    ["timm\n-c limits.txt", "line 2: cannot include another file"],
    ["timm\n\n-e .", "line 3: cannot be editable"],
    ["--target /", "line 1: must be a requirement"],
    ["--index-url https://ada:secret@example.org/simple", "line 1: must not hold credentials"],
    ["--extra-index-url https://example.org/simple?token=secret", "line 1: must not hold credentials"],
    ["--find-links /srv/wheels", "line 1: cannot be a file or a folder"],
    ["name: course\nchannels:\n  - fastai\ndependencies:\n  - fastai", "is a conda environment"],
    [Buffer.from("timm\n", "utf16le"), "is not UTF-8 text"],
    ["x".repeat(100_001), "is longer than 100000 characters"],
  ])("is refused with %j", (content, problem) => {
    expect(() => read(content)).toThrow(problem);
    // Nothing of a line, which may hold a password.
    expect(() => read(content)).not.toThrow("secret");
  });

  it("may not be missing, and is none where none is named", () => {
    expect(() => readRequirements({ requirements: "none.txt" }, "dev", folder)).toThrow(
      "none.txt is not there: the path is relative to the project's folder",
    );
    expect(() => readRequirements({ requirements: "." }, "dev", folder)).toThrow(". is a folder");
    expect(readRequirements({}, "dev", folder)).toEqual([]);
  });
});

describe("build arguments", () => {
  it("are none without packages, so that an image without them stays as it is", () => {
    expect(packageArgs({}, [])).toEqual({});
    expect(packageArgs({ apt: [], packages: [] }, [])).toEqual({});
  });

  it("have Debian's packages in order, and Python's a line each", () => {
    expect(
      packageArgs({ apt: ["tree", "ffmpeg", "tree"], packages: ["timm", "kornia>=0.8"] }, ["six"]),
    ).toEqual({
      APT_PACKAGES: "ffmpeg tree",
      PYTHON_PACKAGES: "six\ntimm\nkornia>=0.8",
    });
  });
});
