/** What a person reads of a run, by what engines noted down in the course of some. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "../../../../cli/context.ts";
import { type EngineEvent, Progress } from "../../../../cli/ui/progress.ts";

type Recorded = EngineEvent & { timestamp: number };

const recorded = (name: string): Recorded[] =>
  readFileSync(new URL(`recorded/${name}.jsonl`, import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** What stays of a run, what was said of it in passing, and why it failed. */
function replay(events: Recorded[], command = "up") {
  const [{ timestamp } = { timestamp: 0 }] = events;
  const progress = new Progress(command, timestamp * 1000);
  const live = new Set<string>();
  const kept = events.flatMap((event) => {
    const lines = progress.add(event, event.timestamp * 1000);
    for (const line of progress.live(event.timestamp * 1000)) live.add(line);
    return lines;
  });
  return { kept, live: [...live], failure: progress.failure() };
}

const URN = "urn:pulumi:dev::gpubox::gpubox:workspace:Workspace";
const COMMAND = `${URN}$command:local:Command::`;
const IMAGE = `${URN}$docker:index/image:Image::image-build`;

/** A step of a resource in which these lines are said, a second apart. */
function step(urn: string, lines: string[], op = "create"): Recorded[] {
  const metadata = { op, urn };
  return [
    { timestamp: 0, resourcePreEvent: { metadata } },
    ...lines.map((message, at) => ({
      timestamp: at + 1,
      diagnosticEvent: { urn, message: `${message}\n`, severity: "info" },
    })),
    { timestamp: lines.length + 1, resOutputsEvent: { metadata } },
  ];
}

describe("a run", () => {
  it("that makes a stack is told in lines for what takes time, and what is to be read", () => {
    const { kept, live, failure } = replay(recorded("first-start"));
    expect(failure).toEqual([]);
    expect(kept).toContain("container1: answers (2.0 s)");
    expect(kept).toContain(
      "folders of container2: /closed cannot be written from container2: Permission denied",
    );
    expect(kept.at(-1)).toBe("resources: 25 made (6.0 s)");
    expect(kept.length).toBeLessThan(15);
    expect(kept.join("\n")).not.toMatch(/cached|ready after|nothing new|docker_mount$/m);
    expect(live).toContainEqual(expect.stringMatching(/^image: building: \[common 1\/4\] FROM .*, 0\.0 s$/));
    expect(live).toContain("finding out what there is to do: 0.0 s");
    expect(live.at(-1)).toMatch(/^ending: /);
  });

  it("that builds says each step once, and what it prints in passing", () => {
    const { kept, live } = replay(recorded("changed-image"));
    const image = kept.filter((line) => line.startsWith("image"));
    expect(image).toEqual([
      "image: [lab-added 1/2] RUN sh /tmp/install-packages.sh debian (2.7 s)",
      "image: built (4.0 s)",
    ]);
    expect(live).toContainEqual(expect.stringContaining("install-packages.sh debian: Setting up tree"));
    expect(kept).toContain("  six 1.15.0 is used instead of the image's 1.17.0");
    expect(kept.at(-1)).toMatch(/^resources: 1 changed, 8 made anew, 16 unchanged \(/);
  });

  it("that cannot build says the last lines of the step that failed, each once", () => {
    const { kept, failure } = replay(recorded("failed-build"));
    expect(kept).toEqual([]);
    expect(failure[0]).toBe("image build failed:");
    expect(failure.join("\n")).toMatch(/exit code: 1\n.*\n[\s\S]*no-such-package-of-gpubox was not found/);
    expect(failure.length).toBeLessThan(20);
    expect(new Set(failure).size).toBe(failure.length);
    expect(failure).not.toContain("update failed");
  });

  it("whose script fails says what that said, once, without the script", () => {
    const { kept, failure } = replay(recorded("failed-script"));
    const why = "folders of container2: /home/jupyter cannot be written from container2: Permission denied";
    expect(failure[0]).toBe(why);
    expect(kept).not.toContain(why);
  });

  it("that tears down says how much went", () => {
    expect(replay(recorded("destroy"), "destroy").kept).toEqual([
      "container1 container: removed (1.0 s)",
      "resources: 25 removed (1.0 s)",
    ]);
  });

  it("that changes nothing says so where nobody else does", () => {
    const summary = { timestamp: 0, summaryEvent: { resourceChanges: { same: 3 }, result: "succeeded" } };
    expect(replay([summary], "up").kept).toEqual([]);
    expect(replay([summary], "refresh").kept).toEqual([expect.stringContaining("nothing has changed")]);
  });
});

describe("a script on the host", () => {
  it("ends with its result and its time; how far it is passes", () => {
    const { kept, live } = replay(
      step(`${COMMAND}data-pets-download`, [
        "data pets: downloading https://example.org/pets.tgz (340.0 MB)",
        "data pets: unpacking 1200 files, 350.0 MB",
        "data pets: unpacked 20.0 MB of 350.0 MB, 70 of 1200 files unpacked",
        "data pets: checking the hash of 340.0 MB",
        "data pets: reading file:///home/ada/pets.tgz (340.0 MB)",
        "data pets: 120.0 MB of 340.0 MB, 14.0 MB/s, 16 s left, 400 of 1200 files unpacked",
        "data pets: no more after 120.0 MB (connection reset); trying again",
        "data pets: created: /home/ada/data/pets",
      ]),
    );
    expect(live).toContain(
      "data pets: fetching: 120.0 MB of 340.0 MB, 14.0 MB/s, 16 s left, 400 of 1200 files unpacked, 6.0 s",
    );
    expect(kept).toEqual([
      "data pets: no more after 120.0 MB (connection reset); trying again",
      "data pets: created: /home/ada/data/pets (9.0 s)",
    ]);
  });

  it("is heard with what is said of the machine that it is to run on", () => {
    const lines = [
      "10.0.0.2: the connection is lost; trying again",
      "10.0.0.2 does not answer, so what stack gpubox/dev has there stays, run there:",
      "  docker ps -aq | xargs -r docker rm --force",
    ];
    expect(replay(step(`${COMMAND}x`, lines)).kept.slice(0, 3)).toEqual(lines);
    const volume = [
      "vol-1: waiting for its last snapshot snap-1, 10%",
      "vol-1: it is in use by i-1, and stays",
    ];
    expect(replay(step(`${COMMAND}x`, volume)).kept[0]).toBe(volume[1]);
  });

  it("is heard by each of its names; a program that it runs is not", () => {
    const scripts = join(ROOT, "host-scripts");
    const topics = readdirSync(scripts, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(sh|py)$/.test(name))
      .map((name) => readFileSync(join(scripts, name), "utf8"))
      .flatMap((text) => /^(?:topic=| {4}\w+\.topic = f?)"?([^"\n]+)"?$/m.exec(text)?.[1] ?? [])
      .map((topic) => topic.replace(/^(\$\{KIND-\}|\{kind\})/, "code"))
      .map((topic) => topic.replaceAll(/\$\{\w+-\}|\{[^}]*\}/g, "x"));
    expect(topics.length).toBeGreaterThan(15);
    for (const topic of topics)
      expect(replay(step(`${COMMAND}x`, [`${topic}: a word`])).kept).toContain(`${topic}: a word`);
    expect(replay(step(`${COMMAND}x`, ["remote: Enumerating objects: 5"])).kept).toEqual(["x: made (2.0 s)"]);
  });
});

describe("a build by the official plugin", () => {
  const lines = [
    "#1 [internal] load build definition from Dockerfile",
    "#1 DONE 2.0s",
    "#7 [3/9] RUN pip install torch",
    "#7 0.345 Collecting torch",
    "#8 [4/9] RUN apt-get install tree",
    "#7 [3/9] RUN pip install torch",
    "#7 DONE 3.2s",
    "#8 1.20 E: Unable to locate package tree",
  ];

  it("says each step once, by its name", () => {
    const { kept, live } = replay(step(IMAGE, lines));
    expect(kept).toEqual(["image: [3/9] RUN pip install torch (3.2 s)", "image: built (9.0 s)"]);
    expect(live).toContain("image: building: [3/9] RUN pip install torch: Collecting torch, 4.0 s");
  });

  it("says what was printed last where it fails", () => {
    const begun = step(IMAGE, lines).slice(0, -1);
    const failed = { timestamp: 9, resOpFailedEvent: { metadata: { op: "create", urn: IMAGE } } };
    const error = {
      timestamp: 9,
      diagnosticEvent: { urn: IMAGE, message: "error: exit status 100\n", severity: "error" },
    };
    const told = [
      "image build failed:",
      "Collecting torch",
      "E: Unable to locate package tree",
      "error: exit status 100",
    ];
    for (const end of [
      [failed, error],
      [error, failed],
    ])
      expect(replay([...begun, ...end]).failure).toEqual(told);
  });
});

it("a long error is told by its beginning and its end", () => {
  const message = Array.from({ length: 100 }, (_, at) => `line ${at}`).join("\n");
  const { failure } = replay([{ timestamp: 0, diagnosticEvent: { message, severity: "error" } }]);
  expect(failure).toHaveLength(19);
  expect(failure.slice(0, 5)).toEqual(["line 0", "line 1", "line 2", "…", "line 85"]);
  expect(failure.at(-1)).toBe("line 99");
});

it("a warning is told once, at once", () => {
  const warning = { timestamp: 0, diagnosticEvent: { message: "no GPU\n", severity: "warning" } };
  expect(replay([warning, warning]).kept).toEqual(["warning: no GPU"]);
});
