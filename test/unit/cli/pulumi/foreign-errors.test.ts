/** Errors that are other programs' words. The samples are what they said, each produced for real. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type About, errorsOf, explain } from "../../../../cli/pulumi/foreign-errors.ts";

const about: About = {
  stack: "lab",
  passphrase: "/home/ada/.gpubox/passphrase",
  engine: "/home/ada/.cache/gpubox/engine/3.259.0/pulumi",
  home: `/home/${"a".repeat(60)}`,
};

/** What was said, the program that said it, and what mends it. */
const SAMPLES: [program: string, said: string, mended: RegExp][] = [
  [
    "the engine, of a wrong passphrase",
    "error: getting stack configuration: get stack secrets manager: failed to decrypt: incorrect passphrase, please set PULUMI_CONFIG_PASSPHRASE to the correct passphrase or set PULUMI_CONFIG_PASSPHRASE_FILE to a file containing the passphrase",
    /passphrase from \/home\/ada\/\.gpubox\/passphrase is not the one that protects the secrets of stack lab: put the right one there/,
  ],
  [
    "the engine, of a state of a newer version",
    "error: failed to load checkpoint: unsupported checkpoint version 5",
    /state of stack lab was written by a newer Pulumi.*engine\/3\.259\.0\/pulumi.*not touched.*`git pull`/,
  ],
  [
    "the engine, of a state with a feature that it does not know",
    "error: failed to load checkpoint: this stack's deployment needs support for the following features: future",
    /written by a newer Pulumi/,
  ],
  [
    "our own installer in a build, of a package that is not there",
    "error: No solution found when resolving dependencies\n  cause: Because nosuch was not found in the package registry\ngpubox: the packages of `image.packages` or `image.requirements` cannot be installed beside the image's own: the reason is above",
    /^gpubox:image: packages that `packages` or `requirements` lists .*: Because nosuch was not found in the package registry\. .* running notebooks keep/,
  ],
  [
    "the same, of a Debian package",
    "E: Unable to locate package nosuch\ngpubox: the packages of `image.apt` cannot be installed: Debian's reason is above",
    /^gpubox:image: packages that `apt` lists .*: Unable to locate package nosuch\./,
  ],
  [
    "dockerd 20.10, of an image of a registry that wants a login",
    "pulling image 127.0.0.1:5000/team/notebook:1: Head http://127.0.0.1:5000/v2/team/notebook/manifests/1: no basic auth credentials",
    /registry 127\.0\.0\.1:5000 does not serve 127\.0\.0\.1:5000\/team\/notebook:1 without a login: .*`docker login 127\.0\.0\.1:5000`/,
  ],
  [
    "dockerd 20.10, of exhausted address pools",
    "creating network gpubox-dev: could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
    /no address left for another network: `docker network prune`/,
  ],
  [
    "dockerd, of a port that another container has",
    "starting container lesson2: driver failed programming external connectivity on endpoint lesson2 (ab): Bind for 127.0.0.1:8888 failed: port is already allocated",
    /^127\.0\.0\.1:8888 is taken by another container.*`npm start -- -s \w+`/,
  ],
  [
    "dockerd, of a limit below its own minimum",
    "creating container container1: Minimum memory limit allowed is 6MB",
    /memory that gpubox:notebooks gives the container is too little/,
  ],
  [
    "ssh, of a home folder that leaves no room for its socket",
    `ControlPath too long ('${about.home}/.gpubox/ssh/0123456789ab' >= 108 bytes)`,
    /has 66 bytes, and 65 are allowed\..*HOME=/,
  ],
  [
    "ssh, of one that leaves room for the path and not for what it makes of it",
    `unix_listener: path "${about.home}/.gpubox/ssh/0123456789ab.nH31kvHb7Hm1zjSK" too long for Unix domain socket`,
    /has 66 bytes, and 65 are allowed\./,
  ],
];

describe("an error of another program's", () => {
  it.each(SAMPLES)("(%s) is said in words of ours, with what mends it", (_, said, mended) => {
    const told = explain(`before\n${said}\nafter`, about);
    expect(told).toEqual([expect.stringMatching(mended)]);
  });

  it("that nobody knows is left as it is", () => {
    expect(explain("error: update failed\nerror: the flux capacitor is empty", about)).toEqual([]);
  });

  it("has a row in troubleshooting, each of them", () => {
    const page = readFileSync(new URL("../../../../docs/troubleshooting.md", import.meta.url), "utf8");
    const rows = page.split("\n").flatMap((line) => /^\| `([^`]+)`/.exec(line)?.[1] ?? []);
    for (const [, said] of SAMPLES) {
      const [told = ""] = explain(said, about);
      const patterns = rows.map((row) => new RegExp(row.split("…").map(literally).join(".*")));
      expect(
        patterns.filter((row) => row.test(told)),
        told,
      ).not.toEqual([]);
    }
  });
});

const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

describe("what the engine did", () => {
  const line = (severity: string, message: string) =>
    JSON.stringify({ diagnosticEvent: { severity, message } });

  it("is searched for errors alone, also where its last line is cut short", () => {
    const events = [
      line("warning", "incorrect passphrase"),
      JSON.stringify({ sequence: 1, preludeEvent: { config: {} } }),
      line("error", "Minimum memory limit allowed is 6MB"),
      line("error", "update failed"),
      '{"diagnosticEvent":{"sever',
    ].join("\n");
    expect(errorsOf(events)).toBe("Minimum memory limit allowed is 6MB\nupdate failed");
    expect(errorsOf("")).toBe("");
  });

  it("is searched for what a build printed before it failed, which the official plugin's error does not have", () => {
    const urn = "urn:pulumi:dev::gpubox::a$b$docker:index/image:Image::image-build";
    const of = (severity: string, message: string) =>
      JSON.stringify({ diagnosticEvent: { severity, message, urn } });
    const printed = [
      of("info", "cause: no nosuch"),
      of("info", "gpubox: the packages of `image.packages` are not there"),
    ];
    const error = of(
      "error",
      "executor failed running [/bin/sh -c sh /tmp/install-packages.sh added]: exit code: 1",
    );
    expect(explain(errorsOf([...printed, error].join("\n")), about)).toEqual([
      expect.stringContaining("as requested: no nosuch."),
    ]);
    expect(errorsOf(printed.join("\n")), "a build that went well").toBe("");
  });
});
