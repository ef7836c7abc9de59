import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { createContext } from "../../../cli/context.ts";
import { neededBase } from "../../../cli/docker/base-image.ts";
import { useCopy } from "../../../cli/pulumi/stack.ts";
import { parseStackArgs } from "../../../cli/stack.ts";
import { readStack, shortName } from "../../../config/stack-file.ts";

describe("the stack of a command", () => {
  const parse = (args: string[], env = {}) => parseStackArgs(args, env);

  it.each([
    [["-s", "lab"], "lab", []],
    [["-slab"], "lab", []],
    [["-s=lab"], "lab", []],
    [["--stack", "lab", "--diff"], "lab", ["--diff"]],
    [["--stack=lab", "--yes"], "lab", ["--yes"]],
    [["--yes", "-m", "a message", "-s", "lab"], "lab", ["--yes", "-m", "a message"]],
    [["-s", "one", "--stack=one"], "one", []],
    [["organization", "-s", "acme/gpubox/lab"], "acme/gpubox/lab", ["organization"]],
  ])("is taken out of %j", (args, stack, rest) => {
    expect(parse(args)).toEqual({ stack, rest, isNamed: true });
  });

  it("is that of PULUMI_STACK where none is named, then dev", () => {
    expect(parse([], { PULUMI_STACK: "lab" }).stack).toBe("lab");
    expect(parse(["-s", "aws"], { PULUMI_STACK: "lab" }).stack).toBe("aws");
    expect(parse([], { PULUMI_STACK: "" }).stack).toBe("dev");
  });

  it("is one", () => {
    expect(() => parse(["-s", "one", "-s", "two"])).toThrow("-s is given twice, with one and two");
  });

  it("must have a name", () => {
    expect(() => parse(["-s", "--yes"])).toThrow("-s needs the name of a stack");
    expect(() => parse(["-s"])).toThrow("-s needs the name of a stack");
    expect(() => parse(["--stack="])).toThrow("--stack needs the name of a stack");
  });

  it("is all that is taken out: every other argument stays, in order", () => {
    const other = fc
      .oneof(fc.string(), fc.stringMatching(/^--?[a-z-]{1,8}(=.*)?$/), fc.constant("--stack-trace"))
      .filter((arg) => !/^(-s|--stack(=|$))/.test(arg));
    fc.assert(
      fc.property(fc.array(other), fc.array(other), (before, after) => {
        const { stack, rest } = parse([...before, "--stack", "lab", ...after]);
        expect(rest).toEqual([...before, ...after]);
        expect(stack).toBe("lab");
      }),
    );
  });

  it("has a file by the last part of its qualified name", () => {
    expect(shortName("organization/gpubox/lab")).toBe("lab");
    expect(shortName("lab")).toBe("lab");
  });
});

describe("a stack's file", () => {
  let root: string;
  const write = (text: string) => writeFileSync(join(root, "Pulumi.lab.yaml"), text);

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("says the kind of host and the image", () => {
    write("config:\n  gpubox:host: {kind: aws}\n  gpubox:image: {target: lab}\n");
    expect(readStack(root, "lab")).toEqual({ host: "aws", image: { target: "lab" }, notebooks: [] });
  });

  it("names the notebooks, as far as they have names", () => {
    write("config:\n  gpubox:notebooks: [{name: two}, {name: one}]\n");
    expect(readStack(root, "lab").notebooks).toEqual(["two", "one"]);
    write("config:\n  gpubox:notebooks: container1\n");
    expect(readStack(root, "lab").notebooks).toEqual([]);
  });

  it("is local by default", () => {
    write("config: {}\n");
    expect(readStack(root, "acme/gpubox/lab")).toEqual({ host: "local", image: undefined, notebooks: [] });
  });

  it("must be there, and the error names those that are", () => {
    write("config: {}\n");
    expect(() => readStack(root, "lap")).toThrow(
      /no stack lap: .*Pulumi\.lap\.yaml does not exist.* There is lab/,
    );
  });

  it("must be YAML", () => {
    write("config: [");
    expect(() => readStack(root, "lab")).toThrow(/Pulumi\.lab\.yaml is not valid YAML/);
  });

  it("is copied for the engine, which writes into it", () => {
    write("config: {}  # mine\n");
    const context = createContext({ GPUBOX_CACHE: join(root, "cache") }, root);
    const [option, copy] = useCopy(context, "lab", ["--yes"]);
    expect(option).toBe("--config-file");
    expect(parse(readFileSync(copy as string, "utf8"))).toEqual({ config: {} });
    writeFileSync(copy as string, "encryptionsalt: abc\n");
    expect(readFileSync(join(root, "Pulumi.lab.yaml"), "utf8")).toBe("config: {}  # mine\n");
  });

  it("is copied as it was read here, whatever the engine's own YAML makes of it", () => {
    write(
      "encryptionsalt: v1:abc\nconfig:\n  aws:region: 2024-05-01\n  gpubox:notebooks: [{name: yes, port: 010}]\n  aws:token: {secure: abc}\n",
    );
    const context = createContext({ GPUBOX_CACHE: join(root, "cache") }, root);
    const [, copy] = useCopy(context, "lab", []);
    expect(JSON.parse(readFileSync(copy as string, "utf8"))).toEqual({
      encryptionsalt: "v1:abc",
      config: {
        "aws:region": "2024-05-01",
        "gpubox:notebooks": [{ name: "yes", port: 10 }],
        "aws:token": { secure: "abc" },
      },
    });
  });

  it("is copied without its salt, which may be a lost state's, where no secret needs that", () => {
    write("encryptionsalt: v1:abc\nconfig: {gpubox:root: /x}\n");
    const [, copy] = useCopy(createContext({ GPUBOX_CACHE: join(root, "cache") }, root), "lab", []);
    expect(JSON.parse(readFileSync(copy as string, "utf8"))).toEqual({ config: { "gpubox:root": "/x" } });
  });

  it("is not copied when the person names another", () => {
    write("");
    const context = createContext({ GPUBOX_CACHE: join(root, "cache") }, root);
    expect(useCopy(context, "lab", ["--config-file", "other.yaml"])).toEqual([]);
    expect(useCopy(context, "lab", ["--config-file=other.yaml"])).toEqual([]);
    expect(useCopy(context, "none", [])).toEqual([]);
  });
});

describe("the base image that is needed", () => {
  const base = (image: unknown) => neededBase(image, () => "debian:bookworm-slim");

  it("is the Dockerfile's where nothing else is said", () => {
    expect(base(undefined)).toBe("debian:bookworm-slim");
    expect(base({ target: "lab" })).toBe("debian:bookworm-slim");
  });
  it("is the build argument where there is one", () => {
    expect(base({ args: { BASE: "corp/debian:12" } })).toBe("corp/debian:12");
  });
  it("is none where the image is pulled", () => {
    expect(base("streaminterrupt/fastai:cuda9-cudnn7-ubuntu16.04")).toBeUndefined();
    expect(base({ pull: "some/image" })).toBeUndefined();
  });
});
