/** Amazon's Price List as it answers: products as texts of JSON, more of them than one expects. */

interface Filter {
  Field: string;
  Value: string;
}

/**
 * What a type is sold as, by what its hour costs. Whoever asks for a type alone gets all of them; that of an instance on demand is
 * in the middle.
 */
const OFFERS = [
  { operatingSystem: "Windows", tenancy: "Shared", capacitystatus: "Used", times: 1.6 },
  { operatingSystem: "Linux", tenancy: "Shared", capacitystatus: "AllocatedCapacityReservation", times: 0 },
  { operatingSystem: "Linux", tenancy: "Shared", capacitystatus: "Used", times: 1 },
  { operatingSystem: "Linux", tenancy: "Dedicated", capacitystatus: "Used", times: 1.1 },
];

/** US dollars a GB and month of a gp3 volume. */
const DISK = 0.1;

/** Answers GetProducts: those of all products whose attributes are as the filters say. */
export function productsOf(prices: Map<string, number>, regionCode: string, filters: Filter[] = []) {
  const all = [...prices].flatMap(([instanceType, price]) =>
    OFFERS.map(({ times, ...offer }, index) => {
      const attributes = {
        ...{ instanceType, regionCode, servicecode: "AmazonEC2", marketoption: "OnDemand" },
        ...{ preInstalledSw: "NA", licenseModel: "No License required", location: "US East (N. Virginia)" },
        ...offer,
      };
      return product(`${instanceType.replace(/\W/g, "").toUpperCase()}${index}`, attributes, price * times);
    }),
  );
  all.push(
    product(
      "GP3",
      { productFamily: "Storage", volumeApiName: "gp3", regionCode, servicecode: "AmazonEC2" },
      DISK,
      "GB-Mo",
    ),
  );
  const matches = ({ product: { attributes } }: (typeof all)[number]) =>
    filters.every(({ Field, Value }) => attributes[Field]?.toLowerCase() === Value.toLowerCase());
  return { FormatVersion: "aws_v1", PriceList: all.filter(matches).map((each) => JSON.stringify(each)) };
}

function product(sku: string, attributes: Record<string, string>, price: number, unit = "Hrs") {
  const term = `${sku}.JRTCKXETXF`;
  const rateCode = `${term}.6YS6EN2CT7`;
  const dimension = {
    ...{ unit, beginRange: "0", endRange: "Inf", rateCode, appliesTo: [] },
    description: `$${price} per On Demand ${attributes.operatingSystem} ${attributes.instanceType} Instance Hour`,
    pricePerUnit: { USD: price.toFixed(10) },
  };
  return {
    product: { productFamily: "Compute Instance", attributes, sku },
    serviceCode: "AmazonEC2",
    terms: {
      OnDemand: {
        [term]: {
          ...{ sku, offerTermCode: "JRTCKXETXF", termAttributes: {} },
          effectiveDate: "2026-11-01T00:00:00Z",
          priceDimensions: { [rateCode]: dimension },
        },
      },
    },
    version: "20261101000000",
    publicationDate: "2026-11-01T00:00:00Z",
  };
}
