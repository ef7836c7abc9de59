import grpc from "@grpc/grpc-js";
import providerServices from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import type * as pb from "@pulumi/pulumi/proto/provider_pb.d.ts";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { password } from "../../../../offline/plugins/resource-random/password.ts";
import { secret, unknownValue } from "../../../../offline/plugins/shared/values.ts";
import { call, type RunningPlugin, startPlugin, struct } from "../../../support/offline-plugin.ts";

const TYPE = "random:index/randomPassword:RandomPassword";
type Values = Record<string, unknown>;

let plugin: RunningPlugin;
let client: grpc.Client;

beforeAll(async () => {
  plugin = await startPlugin("resource-random");
  client = new providerServices.ResourceProviderClient(plugin.address, grpc.credentials.createInsecure());
});

afterAll(async () => {
  client?.close();
  await plugin?.stop();
});

async function create(inputs: Values, preview = false) {
  const request = new messages.CreateRequest()
    .setType(TYPE)
    .setPreview(preview)
    .setProperties(struct(inputs));
  const response = await call<pb.CreateResponse>(client, "create", request);
  return { id: response.getId(), outputs: response.getProperties()?.toJavaScript() as Values };
}

async function check(inputs: Values): Promise<string[]> {
  const request = new messages.CheckRequest().setType(TYPE).setNews(struct(inputs));
  const response = await call<pb.CheckResponse>(client, "check", request);
  return response.getFailuresList().map((failure) => failure.getProperty());
}

async function replaces(olds: Values, news: Values): Promise<string[]> {
  const request = new messages.DiffRequest().setType(TYPE).setOldInputs(struct(olds)).setNews(struct(news));
  return (await call<pb.DiffResponse>(client, "diff", request)).getReplacesList();
}

/** What is inside a value that must be marked as a secret. */
function open(value: unknown): string {
  const text = (value as { value: string }).value;
  expect(value).toEqual(secret(text));
  return text;
}

describe("random.RandomPassword", () => {
  it("writes its defaults out, and marks the password and its hash as secrets", async () => {
    const { id, outputs } = await create({ length: 24, keepers: { a: "1" } });
    const { result, bcryptHash, ...rest } = outputs;
    expect(id).toBe("none");
    expect(open(result)).toHaveLength(24);
    expect(open(bcryptHash)).toMatch(/^\$2[ab]\$10\$[./A-Za-z0-9]{53}$/);
    expect(rest).toEqual({
      length: 24,
      upper: true,
      lower: true,
      numeric: true,
      number: true,
      special: true,
      minUpper: 0,
      minLower: 0,
      minNumeric: 0,
      minSpecial: 0,
      keepers: { a: "1" },
    });
    const other = await create({ length: 24 });
    expect(open(other.outputs.result)).not.toBe(open(result));
  });

  it("is unknown at preview, with everything else known", async () => {
    const { outputs } = await create({ length: 8, special: false }, true);
    expect(outputs).toMatchObject({
      result: unknownValue,
      bcryptHash: unknownValue,
      special: false,
      upper: true,
    });
  });

  it("has the length, the classes and the minimums that were asked for", () => {
    const minimum = fc.integer({ min: 0, max: 5 });
    const arguments_ = fc.record({
      upper: fc.boolean(),
      lower: fc.boolean(),
      numeric: fc.constant(true),
      special: fc.boolean(),
      minUpper: minimum,
      minLower: minimum,
      minNumeric: minimum,
      minSpecial: minimum,
      more: fc.integer({ min: 1, max: 40 }),
    });
    fc.assert(
      fc.property(arguments_, ({ more, ...inputs }) => {
        const length = inputs.minUpper + inputs.minLower + inputs.minNumeric + inputs.minSpecial + more;
        const made = password({ ...inputs, length, overrideSpecial: "é%" });
        expect([...made]).toHaveLength(length);
        for (const [wanted, least, pattern] of [
          [inputs.upper, inputs.minUpper, /[A-Z]/g],
          [inputs.lower, inputs.minLower, /[a-z]/g],
          [inputs.numeric, inputs.minNumeric, /[0-9]/g],
          [inputs.special, inputs.minSpecial, /[é%]/g],
        ] as const) {
          const count = made.match(pattern)?.length ?? 0;
          expect(count).toBeGreaterThanOrEqual(least);
          if (!wanted) expect(count).toBe(least);
        }
        expect(made).toMatch(/^[A-Za-z0-9é%]+$/);
      }),
    );
  });

  it("uses every character of a class, about equally often, in every place", () => {
    const made = Array.from({ length: 400 }, () =>
      password({ length: 50, numeric: true, minUpper: 1, upper: false, lower: false, special: false }),
    );
    const digits = [..."0123456789"].map((digit) => made.join("").split(digit).length - 1);
    // 19,600 digits: 1,960 of each expected, six standard deviations are 252.
    for (const count of digits) expect(Math.abs(count - 1_960)).toBeLessThan(252);
    const places = new Set(made.map((each) => each.search(/[A-Z]/)));
    expect(places.size).toBeGreaterThan(40);
  });

  it("refuses what the official one refuses", async () => {
    expect(await check({ length: 5, minUpper: 3, minLower: 3 })).toEqual(["length"]);
    expect(await check({})).toEqual(["length"]);
    expect(await check({ length: 0 })).toEqual(["length"]);
    expect(await check({ length: 5, numeric: true, number: false })).toEqual(["number"]);
    const none = { upper: false, lower: false, numeric: false, special: false };
    expect(await check({ length: 5, ...none })).toEqual(["numeric"]);
    expect(await check({ length: 5, lenght: 5 })).toEqual(["lenght"]);
    expect(await check({ length: unknownValue, minUpper: 3 })).toEqual([]);
  });

  it("is replaced by any change but a default that is written out", async () => {
    expect(await replaces({ length: 8 }, { length: 8, special: true, number: true })).toEqual([]);
    expect(await replaces({ length: 8 }, { length: 9 })).toEqual(["length"]);
    expect(await replaces({ length: 8 }, { length: 8, numeric: false })).toEqual(
      expect.arrayContaining(["numeric"]),
    );
    expect(await replaces({ length: 8, keepers: { a: "1" } }, { length: 8, keepers: { a: "2" } })).toEqual([
      "keepers",
    ]);
  });
});
