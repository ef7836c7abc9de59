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
    const { id, outputs } = await create({ length: 24, special: false });
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
      special: false,
      minUpper: 0,
      minLower: 0,
      minNumeric: 0,
      minSpecial: 0,
    });
    const other = await create({ length: 24, special: false });
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

  it("has the length that was asked for, and nothing but letters and digits", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), (length) => {
        const made = password(length);
        expect(made).toHaveLength(length);
        expect(made).toMatch(/^[A-Za-z0-9]+$/);
      }),
    );
  });

  it("uses every character about equally often, in every place", () => {
    const made = Array.from({ length: 2_000 }, () => password(62)).join("");
    const counts = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"].map(
      (character) => made.split(character).length - 1,
    );
    // 124,000 characters: 2,000 of each expected, six standard deviations are 267.
    for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(267);
  });

  it("refuses what the official one refuses, and by name what it does not know", async () => {
    expect(await check({ special: false })).toEqual(["length"]);
    expect(await check({ length: 0, special: false })).toEqual(["length"]);
    expect(await check({ length: 5, special: false, lenght: 5 })).toEqual(["lenght"]);
    expect(await check({ length: 5, special: true })).toEqual(["special"]);
    expect(await check({ length: 5, special: false, minUpper: 3, keepers: {} })).toEqual([
      "keepers",
      "minUpper",
    ]);
    expect(await check({ length: unknownValue, special: false })).toEqual([]);
  });

  it("is replaced by any change but a default that is written out", async () => {
    const inputs = { length: 8, special: false };
    expect(await replaces(inputs, { ...inputs, number: true, upper: true, minUpper: 0 })).toEqual([]);
    expect(await replaces(inputs, { ...inputs, length: 9 })).toEqual(["length"]);
    expect(await replaces({ ...inputs, numeric: false }, inputs)).toEqual(["numeric"]);
  });
});
