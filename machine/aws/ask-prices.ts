/** What AWS's own price list says, where the credentials may ask it. */
import { GetProductsCommand, PricingClient } from "@aws-sdk/client-pricing";
import { z } from "zod";
import type { AskedPrices } from "./prices.ts";

/** Where the price list of every region is kept; it is not everywhere. */
const HOME = "us-east-1";
/** China and GovCloud are worlds of their own, without one. */
const ELSEWHERE = /^(cn|us-gov)-/;
/** How long an answer may take in all, in milliseconds: without one there is still the table. */
const PATIENCE_MS = 4_000;

/** It is for whoever looks for the machine to say what is wrong with the credentials. */
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** What prices are asked for. */
export interface AskPricesArgs {
  region: string;
  profile?: string | undefined;
  instanceType: string;
}

/**
 * Asks for the prices of a type and of its disks.
 *
 * @returns undefined where that cannot be had, whatever the reason: it is a service, and no need
 */
export async function askPrices(
  args: AskPricesArgs,
  patience = PATIENCE_MS,
): Promise<AskedPrices | undefined> {
  if (ELSEWHERE.test(args.region)) return undefined;
  let timer: NodeJS.Timeout | undefined;
  // The search for credentials has no limit of its own.
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, patience, undefined);
  });
  try {
    return await Promise.race([late, ask(args, patience)]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

async function ask({ region, profile, instanceType }: AskPricesArgs, patience: number) {
  const client = new PricingClient({
    region: HOME,
    ...(profile ? { profile } : {}),
    maxAttempts: 1,
    logger: SILENT,
    requestHandler: {
      connectionTimeout: patience,
      requestTimeout: patience,
      throwOnRequestTimeout: true,
    },
  });
  const find = async (unit: string, fields: Record<string, string>): Promise<Price | undefined> => {
    const all = Object.entries({ regionCode: region, ...fields });
    const Filters = all.map(([Field, Value]) => ({ Type: "TERM_MATCH" as const, Field, Value }));
    const { PriceList = [] } = await client.send(
      new GetProductsCommand({ ServiceCode: "AmazonEC2", FormatVersion: "aws_v1", Filters }),
    );
    return dearest([...PriceList].map(String), unit);
  };
  const [instance, volume] = await Promise.all([
    find("Hrs", {
      instanceType,
      operatingSystem: "Linux",
      tenancy: "Shared",
      capacitystatus: "Used",
      preInstalledSw: "NA",
    }),
    find("GB-Mo", { productFamily: "Storage", volumeApiName: "gp3" }),
  ]);
  if (!volume) return undefined;
  const asOf = [instance?.since, volume.since].filter((since) => since !== undefined).sort();
  return { instanceHour: instance?.dollars, volumeGbMonth: volume.dollars, asOf: asOf.at(-1) as string };
}

interface Price {
  dollars: number;
  /** `2026-08-01`. */
  since: string;
}

/** An entry of the price list; the rest is not read. */
const product = z.object({
  terms: z.object({
    OnDemand: z
      .record(
        z.string(),
        z.object({
          effectiveDate: z.string().regex(/^\d{4}-\d\d-\d\d/),
          priceDimensions: z.record(
            z.string(),
            z.object({ unit: z.string(), pricePerUnit: z.object({ USD: z.coerce.number().optional() }) }),
          ),
        }),
      )
      .default({}),
  }),
});

/** The highest of the prices a unit in entries of the list: capacity that is paid for otherwise stands there with 0. */
export function dearest(entries: string[], unit: string): Price | undefined {
  const found = entries
    .flatMap((entry) => Object.values(product.parse(JSON.parse(entry)).terms.OnDemand))
    .flatMap(({ effectiveDate, priceDimensions }) =>
      Object.values(priceDimensions)
        .filter((dimension) => dimension.unit === unit)
        .map(({ pricePerUnit }) => ({ dollars: pricePerUnit.USD ?? 0, since: effectiveDate.slice(0, 10) })),
    )
    .filter(({ dollars }) => dollars > 0);
  return found.sort((one, other) => other.dollars - one.dollars)[0];
}
