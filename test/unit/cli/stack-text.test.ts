/** A new stack's file: from flags, and from answers typed on a terminal. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { createContext, ROOT } from "../../../cli/context.ts";
import { runCommand } from "../../../cli/run-command.ts";
import { type Answers, readBack, stackText } from "../../../cli/stack-text.ts";
import { readConfig } from "../../../config/load.ts";
import { stackJsonSchema } from "../../../config/schema.ts";

let root: string;
const made: string[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gpubox-init-"));
  made.push(root);
  writeFileSync(join(root, "Pulumi.yaml"), "name: gpubox\n");
});
afterAll(() => {
  for (const each of made) rmSync(each, { recursive: true, force: true });
});

const run = (...args: string[]) =>
  runCommand("init", args, { ...createContext({}, root), interactive: false });
const file = (name: string) => readFileSync(join(root, `Pulumi.${name}.yaml`), "utf8");
const HOST_KEY = `ssh-ed25519 ${"A".repeat(68)}`;

describe("a new stack's file", () => {
  const answers = fc.record<Answers>(
    {
      kind: fc.constantFrom("local", "ssh", "aws"),
      address: fc.constantFrom("gpu", "gpu.example.org", "10.0.0.7", "fe80::1"),
      user: fc.constantFrom("ada", "null", "no"),
      hostKey: fc.constant(HOST_KEY),
      region: fc.constantFrom("us-east-1", "eu-central-1"),
      sshCidr: fc.constantFrom("mine", "203.0.113.7/32"),
      instanceTypes: fc.constantFrom(["g6.xlarge"], ["g5.xlarge", "g4dn.xlarge"]),
      key: fc.constantFrom("~/.ssh/id", "/keys/my key"),
      root: fc.constantFrom("~/docker_mount", "/srv/gpu box"),
      target: fc.constantFrom("full", "lab"),
      gpus: fc.constantFrom("auto", "all", "none"),
      data: fc.subarray(["pets", "mnist_sample"]),
    },
    { requiredKeys: ["kind", "address", "region", "sshCidr"] },
  );

  it("says what was answered, whatever that is, and is what editors take", () => {
    const editors = z.fromJSONSchema(stackJsonSchema() as never);
    fc.assert(
      fc.property(answers, (given) => {
        const text = stackText("lab", given);
        const { host, root: folder, image, notebooks, data } = readBack(text, "lab");
        expect(editors.safeParse(parse(text)).error).toBeUndefined();
        expect(host.kind).toBe(given.kind);
        if (host.kind === "ssh") {
          const { address, user, key, hostKey } = given;
          expect(host).toEqual({
            kind: "ssh",
            address,
            ...(user && { user }),
            ...(key && { key }),
            ...(hostKey && { hostKey }),
          });
        }
        if (host.kind === "aws") {
          expect(host).toMatchObject({ region: given.region, sshCidr: given.sshCidr });
          if (given.instanceTypes) expect(host.instanceTypes).toEqual(given.instanceTypes);
        }
        expect(folder).toBe(given.root ?? "~/docker_mount");
        expect(image).toMatchObject({ target: given.target ?? "full" });
        expect(notebooks).toMatchObject([{ name: "container1", gpus: given.gpus ?? "auto", port: 8888 }]);
        expect(data).toHaveLength(given.data?.length ?? 0);
      }),
    );
  });

  it("has a comment on everything that a person may want to change", () => {
    for (const kind of ["local", "ssh", "aws"] as const) {
      const lines = stackText("x", { kind }).split("\n");
      expect(lines[0]).toBe("# yaml-language-server: $schema=./schema/stack.json");
      expect(lines.filter((line) => line.trim().startsWith("#")).length).toBeGreaterThan(7);
    }
  });
});

describe("npm run init with flags", () => {
  it("writes the file and says what comes next", async () => {
    expect(
      await run("-s", "lab", "--kind", "ssh", "--address", "gpu", "--host-key", HOST_KEY, "--data", "pets"),
    ).toBe(0);
    expect(readBack(file("lab"), "lab")).toMatchObject({
      host: { kind: "ssh", address: "gpu", hostKey: HOST_KEY },
      data: [{ folder: "oxford-iiit-pet" }],
    });
  });

  it("names the stack after its kind where it is given no name", async () => {
    await run("--kind", "aws", "--region", "us-east-1", "--ssh-cidr", "mine");
    expect(file("aws")).toContain("kind: aws");
  });

  it("says which flags are missing, and writes nothing", async () => {
    await expect(run()).rejects.toThrow("say --kind");
    await expect(run("--kind", "aws")).rejects.toThrow("say --region and --ssh-cidr");
    await expect(run("--kind", "ssh", "--adress", "gpu")).rejects.toThrow(
      /there is no option --adress: did you mean --address\? `npm run init -- --help` says what there is/,
    );
    expect(existsSync(join(root, "Pulumi.aws.yaml"))).toBe(false);
  });

  it("writes nothing that the program would refuse", async () => {
    const wrong = run("--kind", "aws", "--region", "us-east-1", "--ssh-cidr", "0.0.0.0/0", "--data", "petz");
    await expect(wrong).rejects.toThrow(/sshCidr[\s\S]*did you mean "pets"/);
    await expect(run("--kind", "asw")).rejects.toThrow("--kind must be local, ssh, aws, not asw");
    await expect(run("--kind", "local", "--gpus", "all\n      port: 1")).rejects.toThrow("gpus");
    expect(existsSync(join(root, "Pulumi.aws.yaml"))).toBe(false);
  });

  it("leaves a file that is there alone, unless it is told to", async () => {
    writeFileSync(join(root, "Pulumi.dev.yaml"), "mine");
    await expect(run("-s", "dev", "--kind", "local")).rejects.toThrow(
      /is there already: .*`npm run init -- -s dev2`.*--force/,
    );
    expect(file("dev")).toBe("mine");
    expect(await run("--kind", "local", "--force")).toBe(0);
    expect(file("dev")).toContain("kind: local");
  });

  it("takes a free name where it is given none", async () => {
    writeFileSync(join(root, "Pulumi.dev.yaml"), "mine");
    for (const name of ["dev2", "dev3"]) {
      expect(await run("--kind", "local")).toBe(0);
      expect(file(name)).toContain("kind: local");
    }
    expect(file("dev")).toBe("mine");
  });

  it("takes a file with nothing in it for none, by the command that its refusal names", async () => {
    writeFileSync(join(root, "Pulumi.lab.yaml"), "\n");
    const refused = refusalOf(() => readConfig(root, "lab"));
    const [, words = ""] = /`npm run init -- ([^`]+)`/.exec(refused) ?? [];
    expect(await run(...words.split(" "), "--kind", "local")).toBe(0);
    expect(file("lab")).toContain("kind: local");
  });

  it("leaves one with nothing but comments alone, and the command that its refusal names writes another", async () => {
    writeFileSync(join(root, "Pulumi.lab.yaml"), "# config: mine\n");
    await expect(run("-s", "lab", "--kind", "local")).rejects.toThrow("is there already");
    expect(file("lab")).toBe("# config: mine\n");
    const refused = refusalOf(() => readConfig(root, "lab"));
    const [, words = ""] = /`npm run init -- ([^`]+)`/.exec(refused) ?? [];
    expect(await run(...words.split(" "), "--kind", "local")).toBe(0);
  });

  it("has a name and a port for its notebook that no other stack of the checkout has", async () => {
    const notebookOf = (name: string) => {
      const [{ name: called, port } = {}] = readBack(file(name), name).notebooks;
      return [called, port];
    };
    await run("--kind", "local");
    expect(notebookOf("dev")).toEqual(["container1", 8888]);
    await run("-s", "second", "--kind", "local");
    expect(notebookOf("second")).toEqual(["container2", 8889]);
    // By itself a notebook has the port of its first GPU, and a file that is wrong has nothing to say.
    writeFileSync(join(root, "Pulumi.gpu.yaml"), "config:\n  gpubox:notebooks: [{name: train, gpus: [2]}]\n");
    writeFileSync(join(root, "Pulumi.broken.yaml"), "config: [\n");
    await run("-s", "third", "--kind", "ssh", "--address", "gpu");
    expect(notebookOf("third")).toEqual(["container3", 8891]);
    // Its own file does not count.
    await run("-s", "second", "--kind", "local", "--force");
    expect(notebookOf("second")).toEqual(["container2", 8889]);
  });
});

const refusalOf = (read: () => unknown): string => {
  try {
    return String(read());
  } catch (error) {
    return (error as Error).message;
  }
};

describe("npm run init on a terminal", () => {
  /** Types an answer when its question is there. */
  async function converse(answers: [question: RegExp, keys: string][], args: string[] = []): Promise<string> {
    const program = `
      import { createContext } from "${ROOT}/cli/context.ts";
      import { runCommand } from "${ROOT}/cli/run-command.ts";
      process.exitCode = await runCommand("init", ${JSON.stringify(args)}, { ...createContext({}, "${root}"), interactive: true });
    `;
    writeFileSync(join(root, "program.mts"), program);
    const command = `stty cols 80; '${process.execPath}' '${join(root, "program.mts")}'`;
    const child = spawn("script", ["-qec", command, "/dev/null"], { env: { ...process.env, TERM: "xterm" } });
    let shown = "";
    let read = 0;
    child.stdout.on("data", (chunk) => {
      shown += chunk;
      const [next] = answers;
      if (!next?.[0].test(shown.slice(read))) return;
      read = shown.length;
      answers.shift();
      child.stdin.write(next[1]);
    });
    await new Promise((resolve) => child.on("close", resolve));
    return shown;
  }

  it("asks what it must know, and writes that", async () => {
    const down = "\u001b[B";
    const shown = await converse([
      [/Where is the GPU/, `${down}\r`],
      [/name or address/, "gpu.example.org\r"],
      [/Who you are/, "ada\r"],
      [/Folder/, "\r"],
      [/in the image/, `${down}\r`],
      [/Which GPUs/, "\r"],
      [/Data sets/, " \r"],
    ]);
    expect(shown).toContain("npm start -- -s lab");
    expect(readBack(file("lab"), "lab")).toMatchObject({
      host: { kind: "ssh", address: "gpu.example.org", user: "ada" },
      root: "~/docker_mount",
      image: { target: "lab" },
      notebooks: [{ gpus: "auto" }],
      data: [{ folder: "mnist_sample" }],
    });
  }, 30_000);

  const REST: [RegExp, string][] = [
    [/Folder/, "\r"],
    [/in the image/, "\r"],
    [/Which GPUs/, "\r"],
    [/Data sets/, "\r"],
  ];

  it("takes a free name, and overwrites nothing", async () => {
    writeFileSync(join(root, "Pulumi.dev.yaml"), "mine");
    const unanswered = [[/Where is the GPU/, "\r"], ...REST] as [RegExp, string][];
    const shown = await converse(unanswered);
    expect(unanswered).toEqual([]);
    expect(shown).toContain("npm start -- -s dev2");
    expect(file("dev")).toBe("mine");
    expect(readBack(file("dev2"), "dev2").host.kind).toBe("local");
  }, 30_000);

  it("refuses a name that is taken before it asks anything, and overwrites it on demand", async () => {
    writeFileSync(join(root, "Pulumi.lab.yaml"), "mine");
    const shown = await converse([], ["-s", "lab"]);
    expect(shown).toContain("is there already");
    expect(shown).not.toContain("Where is the GPU");
    expect(file("lab")).toBe("mine");
    await converse([[/Where is the GPU/, "\r"], ...REST], ["-s", "lab", "--force"]);
    expect(readBack(file("lab"), "lab").host.kind).toBe("local");
  }, 30_000);

  it("refuses an answer when it is given, not in the end", async () => {
    const unanswered = [
      [/Where is the GPU/, "\r"],
      [/Folder/, "\u0015relative/folder\r"],
      [/root/, "\u0015~/fine\r"],
      ...REST.slice(1),
    ] as [RegExp, string][];
    await converse(unanswered);
    expect(unanswered).toEqual([]);
    expect(readBack(file("dev"), "dev").root).toBe("~/fine");
    expect(await converse([[/Where is the GPU/, "\r"]], ["--gpus", "many"])).toContain("gpus");
  }, 30_000);
});
