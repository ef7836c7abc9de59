/** AWS's price list, as a server on this machine answers in its place. */
import type { ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { askPrices, dearest } from "../../../../machine/aws/ask-prices.ts";
import { answerAws } from "../../../support/aws-server.ts";

/** An entry of the list, as the service sends it. */
const entry = (unit: string, USD: string, effectiveDate = "2026-11-01T00:00:00Z") =>
  JSON.stringify({
    product: { productFamily: "x", sku: "S" },
    serviceCode: "AmazonEC2",
    terms: {
      OnDemand: {
        "S.J": {
          priceDimensions: { "S.J.6": { unit, pricePerUnit: { USD }, beginRange: "0" } },
          effectiveDate,
        },
      },
    },
    version: "20261120000000",
  });

interface Asked {
  ServiceCode: string;
  Filters: { Type: string; Field: string; Value: string }[];
}

describe("the price list", () => {
  const asked: Record<string, string>[] = [];
  let targets: unknown[];
  let answer: (field: Record<string, string>, response: ServerResponse) => void;
  const list = (...PriceList: string[]) => JSON.stringify({ FormatVersion: "aws_v1", PriceList });
  const both =
    (instance: string[], volume: string[]): typeof answer =>
    (fields, response) =>
      response.end(fields.volumeApiName ? list(...volume) : list(...instance));

  beforeEach(() => {
    asked.length = 0;
    targets = [];
  });
  answerAws(async (request, response) => {
    const { ServiceCode, Filters } = (await json(request)) as Asked;
    targets.push([request.headers["x-amz-target"], ServiceCode]);
    const fields = Object.fromEntries(Filters.map(({ Field, Value }) => [Field, Value]));
    asked.push(fields);
    response.setHeader("content-type", "application/x-amz-json-1.1");
    answer(fields, response);
  });
  const what = { region: "eu-west-1", instanceType: "g6.xlarge" };

  it("is asked for the type with Linux on shared machines, and for disks, in the region", async () => {
    answer = both([entry("Hrs", "0.9")], [entry("GB-Mo", "0.088", "2026-06-01T00:00:00Z")]);
    expect(await askPrices(what)).toEqual({ instanceHour: 0.9, volumeGbMonth: 0.088, asOf: "2026-11-01" });
    const target = ["AWSPriceListService.GetProducts", "AmazonEC2"];
    expect(targets).toEqual([target, target]);
    expect(asked).toContainEqual({
      regionCode: "eu-west-1",
      instanceType: "g6.xlarge",
      operatingSystem: "Linux",
      tenancy: "Shared",
      capacitystatus: "Used",
      preInstalledSw: "NA",
    });
    expect(asked).toContainEqual({
      regionCode: "eu-west-1",
      productFamily: "Storage",
      volumeApiName: "gp3",
    });
  });

  it("may have no such type", async () => {
    answer = both([], [entry("GB-Mo", "0.088")]);
    expect(await askPrices(what)).toEqual({
      instanceHour: undefined,
      volumeGbMonth: 0.088,
      asOf: "2026-11-01",
    });
  });

  const refused: typeof answer = (_, response) =>
    response
      .writeHead(400, { "x-amzn-errortype": "AccessDeniedException" })
      .end(JSON.stringify({ message: "not authorized to perform: pricing:GetProducts" }));
  it.each<[string, typeof answer]>([
    ["refuses", refused],
    ["fails", (_, response) => response.writeHead(500).end("{}")],
    ["says nothing that can be read", (_, response) => response.end(list("{}"))],
    ["is not JSON", (_, response) => response.end("<html>")],
    ["knows no disks", both([entry("Hrs", "0.9")], [])],
    ["is silent", () => {}],
  ])("is done without where it %s, and is asked nothing twice", async (_, given) => {
    answer = given;
    expect(await askPrices(what, 300)).toBeUndefined();
    expect(asked).not.toEqual([]);
    expect(new Set(asked.map((each) => JSON.stringify(each))).size).toBe(asked.length);
  });

  it("is not asked about regions that it knows nothing of", async () => {
    answer = both([entry("Hrs", "0.9")], [entry("GB-Mo", "0.088")]);
    for (const region of ["cn-north-1", "us-gov-west-1"])
      expect(await askPrices({ ...what, region })).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it("is done without where the credentials are not to be had, without a word", async () => {
    const warned = vi.spyOn(console, "warn");
    answer = both([entry("Hrs", "0.9")], [entry("GB-Mo", "0.088")]);
    expect(await askPrices({ ...what, profile: "nosuch" })).toBeUndefined();
    expect(asked).toEqual([]);
    expect(warned).not.toHaveBeenCalled();
  });
});

describe("the price in an answer", () => {
  it("is the highest of the unit: capacity blocks and reservations stand there with 0", () => {
    const entries = [entry("Hrs", "0.0000000000"), entry("Hrs", "6.88"), entry("Quantity", "99")];
    expect(dearest(entries, "Hrs")).toEqual({ dollars: 6.88, since: "2026-11-01" });
    expect(dearest([entry("Hrs", "0")], "Hrs")).toBeUndefined();
    expect(dearest([], "Hrs")).toBeUndefined();
  });

  it("is in dollars alone", () => {
    const other = entry("Hrs", "1").replace('"USD"', '"CNY"');
    expect(dearest([other], "Hrs")).toBeUndefined();
  });
});
