/** When `npm start` asks first. */
import { describe, expect, it } from "vitest";
import { whatGoes, whatIsRemoved } from "../../../../cli/commands/destroy.ts";
import { displayArgs, judge, leaves } from "../../../../cli/pulumi/consent.ts";

const urn = (type: string, name = "container1-container") =>
  `urn:pulumi:dev::gpubox::gpubox:workspace:Workspace$gpubox:workspace:Notebook$${type}::${name}`;
const CONTAINER = urn("docker:index/container:Container");
const SCRIPT = urn("command:local:Command");

const goAhead = { do: "go ahead", losses: [] };

/** A judgement, with its losses in words. */
const judged = (...given: Partial<Parameters<typeof judge>>) => {
  const [steps = [], resources = [], args = []] = given;
  const consent = judge(steps, resources, args);
  return "losses" in consent ? { ...consent, losses: consent.losses?.map(({ what }) => what) } : consent;
};

describe("a plan", () => {
  it("names a home volume that goes by whatever removes it, and none whose entry is only replaced", () => {
    const volume = urn("docker:index/volume:Volume", "container1-home");
    const removal = urn("command:local:Command", "container1-home-removal");
    const kept = { urn: volume, type: "", retainOnDelete: true };
    const losses = (op: string, resources = [kept]) =>
      judged(
        [
          { op, urn: volume },
          { op, urn: removal },
        ],
        resources,
      );
    expect(losses("delete")).toEqual({
      do: "go ahead",
      losses: [expect.stringMatching(/^container1: its home volume is removed/)],
    });
    expect(losses("replace")).toEqual(goAhead);
    // With the disk of a machine that is replaced it goes all the same.
    const tied = [{ ...kept, deletedWith: "urn" }];
    expect(losses("replace", tied)).toMatchObject({
      losses: [expect.stringMatching(/^container1: its home/)],
    });
  });

  it("that leaves everything as it is is not carried out at all", () => {
    expect(
      judged([
        { op: "same", urn: CONTAINER },
        { op: "read", urn: SCRIPT },
        { op: "refresh", urn: CONTAINER },
      ]),
    ).toEqual({ do: "nothing", losses: [] });
  });

  it("that only adds or runs scripts again goes ahead", () => {
    expect(
      judged([
        { op: "same", urn: CONTAINER },
        { op: "create", urn: urn("docker:index/volume:Volume") },
        { op: "create-replacement", urn: SCRIPT },
        { op: "replace", urn: SCRIPT },
        { op: "delete-replaced", urn: SCRIPT },
        { op: "update", urn: urn("docker:index/image:Image") },
      ]),
    ).toEqual(goAhead);
  });

  it("says once what is lost with a container that is replaced", () => {
    const steps = ["replace", "create-replacement", "delete-replaced"].map((op) => ({ op, urn: CONTAINER }));
    expect(judged(steps)).toEqual({
      do: "go ahead",
      losses: [
        "container1: its container is replaced, and what kernels have in memory is lost; /code and /data stay",
      ],
    });
  });

  it("says what goes with a notebook or an entry that is no longer there", () => {
    const { losses } = judged([
      { op: "delete", urn: CONTAINER },
      { op: "delete", urn: urn("docker:index/volume:Volume", "container1-home") },
      { op: "delete", urn: urn("command:local:Command", "data-pets-retire") },
      { op: "delete", urn: urn("command:local:Command", "container1-ready") },
    ]) as { losses: string[] };
    expect(losses).toEqual([
      expect.stringMatching(/^container1: its container is removed/),
      expect.stringMatching(
        /^container1: its home volume is removed, .*\/home\/jupyter.*pip install.*~\/\.local.*your files there/,
      ),
      "data/pets: no longer in the configuration; its files stay",
    ]);
  });

  it("tells work and data that are lost from what a kernel has in its memory", () => {
    const volume = urn("docker:index/volume:Volume", "container1-home");
    const [kept, purged] = ["kept", "purged"].map((name) =>
      urn("command:local:Command", `data-${name}-retire`),
    );
    const lasting = (each: string | undefined, inputs = {}, retainOnDelete = false) =>
      judge(
        [{ op: "delete", urn: each ?? "" }],
        [{ urn: each ?? "", type: "", inputs, retainOnDelete }],
      ).losses?.map((loss) => loss.lasting);
    expect(lasting(CONTAINER)).toEqual([false]);
    expect(lasting(volume)).toEqual([true]);
    expect(lasting(volume, {}, true)).toEqual([]);
    const removal = urn("command:local:Command", "container1-home-removal");
    expect(lasting(removal)).toEqual([true]);
    expect(lasting(removal, {}, true)).toEqual([]);
    expect(lasting(kept, { environment: { PURGE: "" } })).toEqual([false]);
    expect(lasting(purged, { environment: { PURGE: "1" } })).toEqual([true]);
  });

  it("asks nothing of what is gone already", () => {
    const args = ["--refresh", "--replace", CONTAINER];
    expect(judged([{ op: "replace", urn: CONTAINER }], [], args)).toEqual(goAhead);
    expect(judged([{ op: "replace", urn: `${CONTAINER}2` }], [], args)).not.toEqual(goAhead);
  });

  it("asks nothing of what went with a machine that is gone", () => {
    const volume = urn("docker:index/volume:Volume", "container1-home");
    const machine = urn("aws:ec2/instance:Instance", "aws-machine");
    const life = urn("command:local:Command", "aws-machine-life");
    const resources = [
      { urn: volume, type: "", deletedWith: life },
      { urn: life, type: "", deletedWith: machine },
      { urn: machine, type: "", id: "i-1" },
    ];
    const steps = [volume, life, machine].map((each) => ({ op: "replace", urn: each }));
    const of = (args: string[]) => judge(steps, resources, args).losses;
    expect(of(["--replace", machine])).toEqual([]);
    expect(of([])).toHaveLength(2);
  });

  it("says that a data volume goes, where the entry that removes it does something", () => {
    const removal = urn("command:local:Command", "aws-machine-data-removal");
    const of = (inputs: Record<string, unknown>, op = "delete") =>
      judge([{ op, urn: removal }], [{ urn: removal, type: "command:local:Command", inputs }]).losses;
    const environment = { VOLUME: "vol-1" };
    expect(of({ delete: "node x", environment })).toEqual([
      { what: expect.stringMatching(/^vol-1: the data volume is deleted .*last snapshot/), lasting: true },
    ]);
    expect(of({ environment })).toEqual([]);
    expect(of({ delete: "node x", environment }, "update")).toEqual([]);
  });

  it("says what goes with a machine that is replaced, which is work, and that there may be none for a while", () => {
    const machine = urn("aws:ec2/instance:Instance", "aws-machine");
    const { losses } = judge([{ op: "replace", urn: machine }], [{ urn: machine, type: "", id: "i-1" }]);
    expect(losses).toEqual([
      {
        what: expect.stringMatching(
          /^i-1: the machine is replaced: it is ended before the next .*system disk.*data volume and the address stay.*no capacity/,
        ),
        lasting: true,
      },
    ]);
  });

  it("is shown before anything of AWS's is made or changed, which may cost money", () => {
    const asks = { do: "show it first", losses: [] };
    expect(judged([{ op: "create", urn: urn("aws:ec2/volume:Volume") }])).toEqual(asks);
    expect(judged([{ op: "update", urn: urn("aws:ec2/instance:Instance") }])).toEqual(asks);
    expect(judged([{ op: "same", urn: urn("aws:ec2/instance:Instance") }])).toEqual({
      do: "nothing",
      losses: [],
    });
  });
});

describe("a container that is stopped", () => {
  it.each<[string, string[]]>([
    ["same", ["same"]],
    ["update", ["update"]],
  ])("is started where the plan leaves it: %s", (_, ops) => {
    expect(
      leaves(
        ops.map((op) => ({ op, urn: CONTAINER })),
        CONTAINER,
      ),
    ).toBe(true);
  });

  it("is not started where the plan replaces or removes it, or there is none", () => {
    const replaced = ["create-replacement", "replace", "delete-replaced"].map((op) => ({
      op,
      urn: CONTAINER,
    }));
    expect(leaves(replaced, CONTAINER)).toBe(false);
    expect(leaves([{ op: "delete", urn: CONTAINER }], CONTAINER)).toBe(false);
    expect(leaves([{ op: "delete", urn: SCRIPT }], CONTAINER)).toBe(true);
    expect(leaves(undefined, CONTAINER)).toBe(false);
  });
});

it("a destroy says the same of the home volumes that go", () => {
  const home = (name: string, retainOnDelete = false) => {
    const type = "docker:index/volume:Volume";
    return { urn: urn(type, `${name}-home`), type, retainOnDelete };
  };
  const goes = (...resources: ReturnType<typeof home>[]) => whatGoes({ deployment: { resources } });
  expect(goes(home("one"), home("kept", true))).toMatch(
    /^the home volume of one goes, .*pip install.*your files there;/,
  );
  expect(goes(home("one"), home("two"))).toMatch(/^the home volumes of one, two go, and with them /);
  expect(goes()).toBe("your files in code/ and data/ stay");
});

it("a destroy says what is removed, by its name, and not what is kept or gone already", () => {
  const resource = (type: string, id: string, more: object = {}) => ({
    urn: urn(type, id),
    type,
    id,
    ...more,
  });
  const removed = (...resources: ReturnType<typeof resource>[]) =>
    whatIsRemoved({ deployment: { resources } });
  const container = (name: string, more: object = {}) =>
    resource("docker:index/container:Container", "0", { inputs: { name }, ...more });
  const network = resource("docker:index/network:Network", "1", { inputs: { name: "gpubox-dev" } });
  expect(removed(container("one"), container("old", { delete: true }), network)).toEqual([
    "removed: the notebook one, with what kernels have in memory",
    "removed: the network gpubox-dev",
  ]);
  expect(removed(container("one"), container("two"))[0]).toContain("the notebooks one, two,");
  expect(
    removed(
      resource("aws:ec2/instance:Instance", "i-1"),
      resource("aws:ec2/eip:Eip", "e-1"),
      resource("aws:ec2/vpc:Vpc", "v-1"),
      resource("aws:ebs/volume:Volume", "vol-1", { retainOnDelete: true }),
      resource("aws:ebs/volume:Volume", "vol-2"),
    ),
  ).toEqual([
    "removed: the machine i-1, with its system disk",
    "removed: 2 other things of the stack on AWS",
  ]);
  expect(removed()).toEqual([]);
});

it("the engine shows a tree where there is room for it, else a line at a time", () => {
  expect(displayArgs(true, 160)).toEqual([]);
  expect(displayArgs(true, 80)).toEqual(["--non-interactive"]);
  expect(displayArgs(false, 160)).toEqual(["--non-interactive"]);
});
