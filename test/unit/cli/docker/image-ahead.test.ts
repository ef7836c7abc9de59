import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createContext } from "../../../../cli/context.ts";
import { type Parts, prepareImage } from "../../../../cli/docker/image-ahead.ts";
import { StepCount } from "../../../../cli/ui/step-count.ts";
import { stageAndArgs } from "../../../../config/image.ts";

const context = createContext({ HOME: "/nowhere" });
const built = { target: "lab", args: {} } as const;
const pulled = { pull: "a/b", command: undefined, entrypoint: undefined, user: "host" } as const;

let said: string;
let done: string[];
const parts: Parts = {
  base: async () => void done.push("base"),
  build: async () => void done.push("build"),
  pull: async () => void done.push("pull"),
};
beforeEach(() => {
  said = "";
  done = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

describe("an image that is got ready ahead", () => {
  const prepare = (
    image: Parameters<typeof prepareImage>[2],
    own: Partial<Parts> = {},
    signal = new AbortController().signal,
  ) => prepareImage(context, "dev", image, signal, { ...parts, ...own });

  it("is built once its base image is there", async () => {
    await prepare(built);
    expect(done).toEqual(["base", "build"]);
  });
  it("is pulled where the configuration says so", async () => {
    await prepare(pulled);
    expect(done).toEqual(["pull"]);
    expect(said).toMatch(/^image: pulling a\/b meanwhile … done/);
  });
  it("is no failure of the run where it cannot be had", async () => {
    const fail = async () => {
      throw new Error("no such host");
    };
    await prepare(built, { base: fail });
    expect(done).toEqual([]);
    await prepare(built, { build: fail });
    expect(said).toMatch(/^image: building it meanwhile … failed/m);
    await prepare(pulled, { pull: fail });
    expect(said).not.toContain("no such host");
  });
  it("is not begun any more once that is over which it goes on beside", async () => {
    const over = new AbortController();
    await prepare(built, { base: async () => over.abort() }, over.signal);
    expect(done).toEqual([]);
    expect(said).toBe("");
  });
});

it("a build's arguments are the configuration's, and the packages that it adds", () => {
  const image = {
    target: "lab",
    args: { BASE: "debian:trixie" },
    apt: ["b", "a"],
    packages: ["timm"],
  } as const;
  expect(stageAndArgs({ ...image, apt: [...image.apt], packages: [...image.packages] }, ["kornia"])).toEqual({
    target: "lab",
    args: { BASE: "debian:trixie", APT_PACKAGES: "a b", PYTHON_PACKAGES: "kornia\ntimm" },
  });
});

it("a build's steps are counted without the builder's own", () => {
  const at = { seconds: 1, nanos: 0 };
  const vertex = (name: string, completed?: typeof at) => ({
    digest: name,
    name,
    cached: false,
    completed,
    error: "",
  });
  const count = new StepCount();
  expect(count.text).toBe("");
  count.add({
    vertexes: [vertex("[internal] load"), vertex("[common 1/2] FROM a", at), vertex("[common 2/2] RUN b")],
  });
  expect(count.text).toBe("1 of 2 steps");
  count.add({ vertexes: [vertex("[common 2/2] RUN b", at)] });
  expect(count.text).toBe("2 of 2 steps");
});
