/** What a stack costs, before it is made. Pure arithmetic over a dated table. */

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

/** US dollars, or undefined where the table does not know. */
export interface Prices {
  /** An hour while the instance runs: instance, volumes and address. On spot it is the most that can be asked. */
  runningHour: number | undefined;
  /** A month while the instance is stopped: volumes and address. */
  stoppedMonth: number | undefined;
}

/** What a stack costs; unknown is undefined, never 0. */
export function prices({ region, instanceType, volumes }: Priced): Prices {
  if (region !== PRICES_REGION || volumes === undefined)
    return { runningHour: undefined, stoppedMonth: undefined };
  const stoppedMonth = volumes * VOLUME_GB_MONTH + ADDRESS_HOUR * MONTH;
  const instance = INSTANCE_HOUR.get(instanceType);
  return { stoppedMonth, runningHour: instance === undefined ? undefined : instance + stoppedMonth / MONTH };
}

const dollars = (amount: number | undefined, unit: string) =>
  amount === undefined ? "unknown" : `$${amount.toFixed(2)}/${unit}`;

/** Prices as people read them. */
export interface PriceTexts {
  running: string;
  stopped: string;
}

/** `{running: "at most $0.83/h", stopped: "$19.65/month"}`, "unknown" where the table does not know. */
export function priceTexts(priced: Priced): PriceTexts {
  const { runningHour, stoppedMonth } = prices(priced);
  const running = dollars(runningHour, "h");
  return {
    running: priced.spot && runningHour !== undefined ? `at most ${running}` : running,
    stopped: dollars(stoppedMonth, "month"),
  };
}

/** The line shown before anything is made. */
export function priceLine(priced: Priced): string {
  const { running, stopped } = priceTexts(priced);
  const note =
    running === "unknown" || stopped === "unknown"
      ? `${PRICES_SOURCE} has what is unknown here`
      : `list prices of ${PRICES_AS_OF}, without traffic and tax`;
  return `${priced.instanceType}${priced.spot ? " (spot)" : ""} in ${priced.region}: ${running} while it runs, ${stopped} while it is stopped (disks and address; ${note})`;
}
