/** Which containers have to go before the engine is at work. */
import { expect, it } from "vitest";
import { findInTheWay } from "../../../../cli/docker/make-way.ts";

const container = (name: string, external: number) => ({
  urn: `urn::${name}-container`,
  type: "docker:index/container:Container",
  id: `id-${name}`,
  inputs: { name, ports: [{ external, ip: "127.0.0.1" }] },
});
const volume = { urn: "urn::old-home", type: "docker:index/volume:Volume", id: "old-home", inputs: {} };
const found = (resources: object[], ...notebooks: [name: string, port: number][]) =>
  findInTheWay(
    { deployment: { resources: resources as never } },
    notebooks.map(([name, port]) => ({ name, port })),
  ).map(({ id, name, port, heir }) => [id, name, port, heir]);

it("those whose ports another notebook is to have: one that was renamed, and those that change ports", () => {
  const one = container("one", 8888);
  const two = container("two", 8889);
  expect(found([one, volume, two], ["new", 8888], ["two", 8889])).toEqual([["id-one", "one", 8888, "new"]]);
  expect(found([one, two], ["one", 8889], ["two", 8888])).toEqual([
    ["id-one", "one", 8888, "two"],
    ["id-two", "two", 8889, "one"],
  ]);
});

it("no other: what stays, what moves to a free port, what goes and leaves a port that nobody wants", () => {
  const [one, two] = [container("one", 8888), container("two", 8889)];
  expect(found([one, two], ["one", 8888], ["two", 8890])).toEqual([]);
  expect(found([one, two], ["one", 8888], ["new", 8891])).toEqual([]);
  expect(found([{ ...one, id: undefined }], ["new", 8888])).toEqual([]);
});
