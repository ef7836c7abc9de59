/** A configuration that nobody thought of: it is used, or refused in words that name every key that is wrong. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Config, parseConfig } from "../../../config/schema.ts";
import { UserError } from "../../../errors.ts";

type Raw = Record<string, unknown>;

/** What became of a configuration; anything but a UserError is thrown on. */
function outcome(raw: Raw): { config: Config } | { lines: string[] } {
  try {
    return { config: parseConfig(raw, "dev") };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { lines: error.message.split("\n") };
  }
}

const sha256 = "a".repeat(64);

/** Every key there is, each with a value of its own that is right. */
const complete = () => ({
  host: { kind: "local" },
  root: "/srv/box",
  image: { target: "lab", args: { BASE: "debian" } } as Raw,
  code: [{ url: "https://example.org/course.git", ref: "v1", folder: "course" }] as Raw[],
  data: [{ url: "https://example.org/pets.zip", sha256, folder: "pets" }] as Raw[],
  notebooks: [
    {
      name: "container1",
      gpus: [0, "GPU-aa"],
      shareGpus: true,
      port: 9000,
      address: "127.0.0.1",
      shmSize: "8g",
      memory: "16g",
      volumes: [{ source: "/srv/a", target: "/a", readOnly: true }] as Raw[],
      environment: { COLOUR: "blue" },
    },
  ],
});

/** The objects in which a misspelt key can be, with their paths as people write them. */
const objects = (config: ReturnType<typeof complete>): [string, Raw][] => [
  ["gpubox:", config],
  ["gpubox:host.", config.host],
  ["gpubox:image.", config.image],
  ["gpubox:code[0].", config.code[0] as Raw],
  ["gpubox:data[0].", config.data[0] as Raw],
  ["gpubox:notebooks[0].", config.notebooks[0] as Raw],
  ["gpubox:notebooks[0].volumes[0].", config.notebooks[0]?.volumes[0] as Raw],
];

const keys = new Set(objects(complete()).flatMap(([, object]) => Object.keys(object)));

/** JSON as a stack file can hold it, with real keys in it more often than chance has them. */
const anything = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<unknown>;
const key = fc.oneof(fc.constantFrom(...keys), fc.string(), fc.constantFrom("__proto__", "constructor", "0"));
const tree = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    anything,
    fc.constantFrom("8g", "all", "127.0.0.1", "/srv", "https://example.org/x.zip", "local", sha256, 8888),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(key, tie("value"), { maxKeys: 5 }),
  ),
})).value;
/** As it comes from a file: an object is an object of JavaScript's, whatever its keys are called. */
const nested = tree.map((value) => JSON.parse(JSON.stringify(value)) as unknown);

/** Words of the library that checks, and regular expressions. */
const PROGRAMMERS =
  /: (Invalid|Too (small|big))\b|expected (string|array|number|object)|match pattern|\[A-Za/;

describe("any configuration", () => {
  it("is used or refused, and never anything else", () => {
    fc.assert(
      fc.property(fc.dictionary(key, nested, { maxKeys: 6 }), (raw) => {
        const result = outcome(raw);
        // A person must see what to mend: at least one line that starts with a key.
        if ("lines" in result)
          expect(result.lines.filter((line) => /^ {2}gpubox:/.test(line))).not.toEqual([]);
        // What was found is the person's own text; the rest is ours, and nothing that only programmers read.
        const words = "lines" in result ? result.lines.map((line) => line.replace(/\(found .*/, "")) : [];
        expect(words.filter((line) => PROGRAMMERS.test(line))).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  it("that is right but for one value is used or refused, naming that key", () => {
    const place = fc.nat().chain((at) => {
      const all = objects(complete());
      const [path, object] = all[at % all.length] as [string, Raw];
      return fc.constantFrom(...Object.keys(object)).map((name) => ({ path, name }));
    });
    fc.assert(
      fc.property(place, nested, ({ path, name }, value) => {
        const config = complete();
        const [, object] = objects(config).find(([at]) => at === path) as [string, Raw];
        object[name] = value;
        const result = outcome(config);
        if ("config" in result) return;
        expect(result.lines.filter((line) => line.startsWith(`  ${path}${name}`))).not.toEqual([]);
        const words = result.lines.map((line) => line.replace(/\(found .*/, ""));
        expect(words.filter((line) => PROGRAMMERS.test(line))).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  it("has every misspelt key named at once, wherever they are", () => {
    const name = fc
      .oneof(
        fc.constantFrom(...keys).map((known) => `${known}s`),
        fc.stringMatching(/^[A-Za-z_-]{1,12}$/),
      )
      .filter((each) => !keys.has(each) && each !== "__proto__");
    const misspelt = fc.uniqueArray(fc.tuple(fc.nat({ max: 6 }), name), {
      minLength: 1,
      maxLength: 6,
      selector: ([at, each]) => `${at} ${each}`,
    });
    fc.assert(
      fc.property(misspelt, anything, (mistakes, value) => {
        const config = complete();
        const places = objects(config);
        const expected = mistakes.map(([at, each]) => {
          const [path, object] = places[at] as [string, Raw];
          object[each] = value;
          return `  ${path}${each}: there is no such key`;
        });
        const result = outcome(config);
        const told = "lines" in result ? result.lines : [];
        for (const line of expected) expect(told.filter((each) => each.startsWith(line))).not.toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it("names the key that was meant by one with a letter too many", () => {
    const config = complete();
    for (const [path, object] of objects(config))
      for (const name of Object.keys(object)) {
        if (path.includes("environment") || path.includes("args")) continue;
        const mistaken = complete();
        const [, there] = objects(mistaken).find(([at]) => at === path) as [string, Raw];
        there[`${name}x`] = there[name];
        const result = outcome(mistaken);
        const told = "lines" in result ? result.lines : [];
        expect(told).toContain(`  ${path}${name}x: there is no such key; did you mean "${name}"?`);
      }
  });
});

describe("a configuration that is accepted", () => {
  const part = fc.oneof(
    fc.constantFrom(
      "",
      ".",
      "..",
      "x",
      "a b",
      "a.zip",
      ".zip",
      ".git",
      "x.git",
      "-x",
      "%2e%2e",
      ".gpubox",
      "~",
    ),
    fc.string({ maxLength: 6 }),
  );
  const url = fc
    .tuple(
      fc.constantFrom("https://h/", "http://h", "file:///", "git@h:", "ssh://h/", "file://"),
      fc.array(part),
    )
    .map(([start, parts]) => start + parts.join("/"));

  it("never puts anything outside of its folders, whatever the urls are called", () => {
    fc.assert(
      fc.property(url, url, (code, data) => {
        const result = outcome({ code: [{ url: code, ref: "v1" }], data: [{ url: data, sha256 }] });
        if ("lines" in result) return;
        for (const { folder } of [...result.config.code, ...result.config.data]) {
          expect(folder).toMatch(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("and one that is refused keep the values of the environment to themselves", () => {
    const canary = "canary-c0ffee";
    fc.assert(
      fc.property(key, nested, fc.string(), (name, value, variable) => {
        const config = complete();
        const [notebook] = config.notebooks as Raw[];
        (notebook as Raw).environment = { [variable]: canary, OTHER: [canary] };
        (notebook as Raw)[name === "environment" ? "environments" : name] = value;
        const result = outcome(config);
        if ("lines" in result) expect(result.lines.join("\n")).not.toContain(canary);
      }),
      { numRuns: 500 },
    );
  });
});
