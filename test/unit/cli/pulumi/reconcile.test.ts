/** Where the daemon and the state disagree. */
import { expect, it } from "vitest";
import { isForeign } from "../../../../cli/docker/present.ts";
import { hasLeft, preparations } from "../../../../cli/pulumi/reconcile.ts";

const VOLUME = "docker:index/volume:Volume";
const entry = (owner?: string, created = "2026-11-01T12:00:00Z") => ({
  urn: "urn",
  type: VOLUME,
  id: "home",
  created,
  inputs: { name: "home", labels: owner ? [{ label: "gpubox.owner", value: owner }] : [] },
});
const volume = (owner: string | undefined, CreatedAt: string) => ({
  Name: "home",
  Labels: { "gpubox.stack": "gpubox/dev", ...(owner && { "gpubox.owner": owner }) },
  CreatedAt,
});
const AT = "2026-11-01T12:00:01Z";
const EARLIER = "2026-10-01T12:00:00Z";

it.each([
  ["of the stack's owner", volume("mine", AT), entry("mine"), false],
  ["of another owner", volume("other", AT), entry("mine"), true],
  ["of before there were owners, taken over since", volume(undefined, EARLIER), entry("mine"), false],
  ["with an owner, in the place of one without", volume("other", AT), entry(), true],
  ["of before there were owners, made with its entry", volume(undefined, AT), entry(), false],
  ["of before there were owners, there long before its entry", volume(undefined, EARLIER), entry(), true],
  ["restored by hand, without a label", { Name: "home", Labels: null, CreatedAt: AT }, entry("mine"), true],
  ["restored by hand, of before there were owners", { Name: "home", CreatedAt: AT }, entry(), true],
])("a volume %s is another's or not", (_, found, resource, expected) => {
  expect(isForeign(found, resource)).toBe(expected);
});

it("a volume that is gone is prepared again, and no other, nor by what removes it", () => {
  const script = (urn: string, VOLUME: string, inputs: object) => ({
    urn,
    type: "command:local:Command",
    inputs: { environment: { VOLUME }, ...inputs },
  });
  const prepares = script("prepares", "home", { create: "own-home.sh" });
  const others = [script("removes", "home", { delete: "x" }), script("other", "home2", { create: "x" })];
  expect(preparations([entry()], [prepares, ...others])).toEqual([prepares]);
  expect(preparations([], [prepares, ...others])).toEqual([]);
});

it.each([
  ["lesson1-container", true],
  ["lesson1-home", true],
  ["lesson2-container", false],
  ["network", false],
])("%s is of a notebook that has left the configuration or not", (name, expected) => {
  expect(hasLeft(name, { notebooks: ["lesson2"] })).toBe(expected);
  // Nothing is said of notebooks there, and so of none that has left.
  expect(hasLeft(name, { notebooks: [] })).toBe(false);
});
