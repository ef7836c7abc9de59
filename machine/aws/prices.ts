/** What a stack costs, before it is made. Pure arithmetic over a dated table, or over what AWS's price list was asked. */

/** When the table was last looked over. */
export const PRICES_AS_OF = "2026-08";
/** The region the table is for; prices of others differ by up to half. */
export const PRICES_REGION = "us-east-1";
/** Where to look a price up that the table lacks. */
export const PRICES_SOURCE = "https://aws.amazon.com/ec2/pricing/on-demand/";

/** US dollars an hour on demand, Linux, in `PRICES_REGION`. */
const INSTANCE_HOUR: ReadonlyMap<string, number> = new Map([
  ["g4dn.xlarge", 0.526],
  ["g5.xlarge", 1.006],
  ["g6.xlarge", 0.8048],
  ["g6e.xlarge", 1.861],
  ["p5.4xlarge", 6.88],
  ["p4d.24xlarge", 21.96],
  ["p5.48xlarge", 55.04],
]);

/** US dollars a GB and month of a gp3 volume. */
const VOLUME_GB_MONTH = 0.08;
/** US dollars an hour of a public IPv4 address, whether the instance runs or not. */
const ADDRESS_HOUR = 0.005;
/** Hours AWS counts a month as. */
const MONTH = 730;

/** What is paid for. */
export interface Priced {
  region: string;
  instanceType: string;
  spot: boolean;
  /** GB of all volumes together; undefined where one is of unknown size. */
  volumes: number | undefined;
}

/** What AWS's own price list says of a region, in US dollars; see ask-prices.ts. */
export interface AskedPrices {
  /** An hour of the type on demand, with Linux; undefined where the list has none. */
  instanceHour: number | undefined;
  /** A GB and month of a gp3 volume. */
  volumeGbMonth: number;
  /** Since when AWS asks so much, `2026-08-01`: unlike the day on which it was asked, the same at the next run. */
  asOf: string;
}

/** US dollars, or undefined where nobody says. */
export interface Prices {
  /** An hour while the instance runs: instance, volumes and address. On spot it is the most that can be asked. */
  runningHour: number | undefined;
  /** A month while the instance is stopped: volumes and address. */
  stoppedMonth: number | undefined;
}

/** What a stack costs; unknown is undefined, never 0. */
export function prices({ region, instanceType, volumes }: Priced, asked?: AskedPrices): Prices {
  const isInTable = region === PRICES_REGION;
  const volume = asked?.volumeGbMonth ?? (isInTable ? VOLUME_GB_MONTH : undefined);
  const instance = asked ? asked.instanceHour : isInTable ? INSTANCE_HOUR.get(instanceType) : undefined;
  if (volume === undefined || volumes === undefined)
    return { runningHour: undefined, stoppedMonth: undefined };
  const stoppedMonth = volumes * volume + ADDRESS_HOUR * MONTH;
  return { stoppedMonth, runningHour: instance === undefined ? undefined : instance + stoppedMonth / MONTH };
}

const dollars = (amount: number | undefined, unit: string) =>
  amount === undefined ? "unknown" : `$${amount.toFixed(2)}/${unit}`;

/** Prices as people read them. */
export interface PriceTexts {
  running: string;
  stopped: string;
  /** Who says so, and of when; where to look where nobody does. */
  source: string;
}

/** `{running: "at most $0.83/h", stopped: "$19.65/month", source: "list prices of 2026-08"}`, "unknown" where nobody says. */
export function priceTexts(priced: Priced, asked?: AskedPrices): PriceTexts {
  const { runningHour, stoppedMonth } = prices(priced, asked);
  const running = dollars(runningHour, "h");
  const known = asked
    ? `asked of AWS's price list, valid since ${asked.asOf}`
    : `list prices of ${PRICES_AS_OF}`;
  const sources = [
    ...(stoppedMonth === undefined ? [] : [known]),
    ...(runningHour === undefined ? [`${PRICES_SOURCE} has what is unknown here`] : []),
  ];
  return {
    running: priced.spot && runningHour !== undefined ? `at most ${running}` : running,
    stopped: dollars(stoppedMonth, "month"),
    source: sources.join("; "),
  };
}

/** A price with who says so behind it; an earlier version has not noted that. */
export const sourced = (price: string, { source }: { source?: string }): string =>
  source ? `${price} (${source})` : price;

/** The line shown before anything is made. */
export function priceLine(priced: Priced, asked?: AskedPrices): string {
  const { running, stopped, source } = priceTexts(priced, asked);
  return `${priced.instanceType}${priced.spot ? " (spot)" : ""} in ${priced.region}: ${running} while it runs, ${stopped} while it is stopped (disks and address, without traffic and tax; ${source})`;
}
