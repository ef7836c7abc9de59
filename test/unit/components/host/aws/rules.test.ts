/** What decides about a machine on AWS before there is one: pure rules. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { hostKey } from "../../../../../components/host/aws/host-key.ts";
import { SENTINEL, userData } from "../../../../../components/host/aws/user-data.ts";
import {
  noPlacement,
  type PlacementFacts,
  placementName,
  placements,
} from "../../../../../machine/aws/capacity.ts";
import { permissions, type S3Prefix, s3Prefixes } from "../../../../../machine/aws/permissions.ts";
import { priceLine, prices, priceTexts, sourced } from "../../../../../machine/aws/prices.ts";
import { quotaOf, quotaProblem } from "../../../../../machine/aws/quota.ts";

describe("prices", () => {
  const priced = { region: "us-east-1", instanceType: "g6.xlarge", spot: false, volumes: 200 };

  it("add instance, disks and address", () => {
    // 0.8048 an hour; 200 GB at 0.08 a month; an address at 0.005 an hour; 730 hours a month.
    const { runningHour, stoppedMonth } = prices(priced);
    expect(stoppedMonth).toBeCloseTo(16 + 3.65, 6);
    expect(runningHour).toBeCloseTo(0.8048 + 19.65 / 730, 6);
    const source = "list prices of 2026-08";
    expect(priceTexts(priced)).toEqual({ running: "$0.83/h", stopped: "$19.65/month", source });
  });

  it("are unknown, never 0, for what the table lacks", () => {
    const look = "https://aws.amazon.com/ec2/pricing/on-demand/ has what is unknown here";
    expect(priceTexts({ ...priced, instanceType: "g9.huge" })).toEqual({
      running: "unknown",
      stopped: "$19.65/month",
      source: `list prices of 2026-08; ${look}`,
    });
    const unknown = { running: "unknown", stopped: "unknown", source: look };
    expect(priceTexts({ ...priced, region: "eu-west-1" })).toEqual(unknown);
    expect(priceTexts({ ...priced, volumes: undefined })).toEqual(unknown);
    expect(priceLine({ ...priced, region: "eu-west-1" })).toContain("https://aws.amazon.com/ec2/pricing");
  });

  it("are a limit on spot, whose own price nobody knows", () => {
    expect(priceTexts({ ...priced, spot: true }).running).toBe("at most $0.83/h");
    expect(priceTexts({ ...priced, spot: true, instanceType: "g9.huge" }).running).toBe("unknown");
  });

  it("are said with their date", () => {
    expect(priceLine(priced)).toMatch(
      /^g6\.xlarge in us-east-1: \$0\.83\/h .* \$19\.65\/month .*list prices of 20\d\d-\d\d\)$/,
    );
    expect(sourced("$1", { source: "list prices of 2026-08" })).toBe("$1 (list prices of 2026-08)");
    expect(sourced("$1", {})).toBe("$1");
  });

  describe("that AWS was asked for", () => {
    const asked = { instanceHour: 0.9, volumeGbMonth: 0.1, asOf: "2026-11-01" };

    it("go before the table, in every region, and say so", () => {
      const source = "asked of AWS's price list, valid since 2026-11-01";
      const there = { ...priced, region: "eu-west-1", instanceType: "g9.huge" };
      // 0.9 an hour; 200 GB at 0.1 a month and the address: 23.65.
      expect(priceTexts(there, asked)).toEqual({ running: "$0.93/h", stopped: "$23.65/month", source });
      expect(priceTexts(priced, asked).running).toBe("$0.93/h");
      expect(priceTexts({ ...priced, spot: true }, asked).running).toBe("at most $0.93/h");
      expect(priceLine(priced, asked)).toContain(`; ${source})`);
    });

    it("are unknown, never 0, where the list has none of the type", () => {
      expect(priceTexts(priced, { ...asked, instanceHour: undefined })).toMatchObject({
        running: "unknown",
        stopped: "$23.65/month",
        source: expect.stringContaining("; https://aws.amazon.com/"),
      });
    });
  });
});

describe("the quota", () => {
  it.each([
    ["g4dn.xlarge", false, "L-DB2E81BA"],
    ["g6e.xlarge", false, "L-DB2E81BA"],
    ["vt1.3xlarge", false, "L-DB2E81BA"],
    ["p5.48xlarge", false, "L-417A185B"],
    ["g6.xlarge", true, "L-3819A6DF"],
    ["gr6.4xlarge", false, "L-DB2E81BA"],
    ["gr6f.4xlarge", true, "L-3819A6DF"],
    ["g6f.large", false, "L-DB2E81BA"],
    ["p4d.24xlarge", true, "L-7212CCBC"],
    ["p3dn.24xlarge", true, "L-7212CCBC"],
    ["p5.48xlarge", true, "L-C4BD4855"],
    ["p5en.48xlarge", true, "L-C4BD4855"],
    ["p6-b200.48xlarge", false, "L-417A185B"],
    ["p6-b200.48xlarge", true, undefined],
    ["t3.large", false, "L-1216C47A"],
    ["t3.large", true, "L-34B43A08"],
    ["im4gn.large", false, "L-1216C47A"],
    ["i7ie.large", false, "L-1216C47A"],
    ["hpc7a.96xlarge", false, "L-F7808C92"],
    ["hpc7a.96xlarge", true, undefined],
    ["inf2.xlarge", false, "L-1945791B"],
    ["trn1.2xlarge", true, "L-6B0D517C"],
    ["dl1.24xlarge", false, "L-6E869C2A"],
    ["x2gd.large", true, "L-E3A00192"],
    ["u-6tb1.56xlarge", false, "L-43DA4232"],
    ["u7i-12tb.224xlarge", true, undefined],
    ["f2.6xlarge", false, "L-74FC7D96"],
    ["mac2.metal", false, undefined],
  ])("of %s (spot: %s) is %s", (type, spot, code) => {
    expect(quotaOf(type, spot)?.code).toBe(code);
  });

  const quota = { code: "L-DB2E81BA", name: "Running On-Demand G and VT instances" };
  const need = { instanceType: "g6.xlarge", region: "eu-west-1", quota, needed: 4, allowed: 4 };

  it("is large enough at exactly what is needed", () => {
    expect(quotaProblem(need)).toBeUndefined();
  });

  it("is a problem below that, with the code, both numbers and where to ask for more", () => {
    const problem = quotaProblem({ ...need, allowed: 3 });
    for (const part of ["4 vCPUs", "may run 3", "L-DB2E81BA", "Service Quotas >", "eu-west-1.console"]) {
      expect(problem).toContain(part);
    }
  });
});

describe("the placement", () => {
  const zones = ["us-east-1a", "us-east-1b"];
  const facts: PlacementFacts = {
    instanceTypes: ["g6.xlarge", "g5.xlarge"],
    offerings: ["g5.xlarge", "g6.xlarge"].flatMap((instanceType) =>
      zones.map((zone) => ({ instanceType, zone })),
    ),
    zones,
    volumeZone: undefined,
    existing: undefined,
    unavailable: [],
  };
  const names = (change: Partial<PlacementFacts> = {}) =>
    placements({ ...facts, ...change }).map(placementName);

  it("tries the first type everywhere before the second", () => {
    expect(names()).toEqual([
      "g6.xlarge/us-east-1a",
      "g6.xlarge/us-east-1b",
      "g5.xlarge/us-east-1a",
      "g5.xlarge/us-east-1b",
    ]);
  });

  it("leaves out what is not offered, has no subnet, or no capacity", () => {
    expect(names({ offerings: [{ instanceType: "g5.xlarge", zone: "us-east-1b" }] })).toEqual([
      "g5.xlarge/us-east-1b",
    ]);
    expect(names({ zones: ["us-east-1b"] })).toEqual(["g6.xlarge/us-east-1b", "g5.xlarge/us-east-1b"]);
    expect(names({ unavailable: ["g6.xlarge/us-east-1a"] })[0]).toBe("g6.xlarge/us-east-1b");
  });

  it("stays in the zone of the data volume and varies the type", () => {
    expect(names({ volumeZone: "us-east-1b" })).toEqual(["g6.xlarge/us-east-1b", "g5.xlarge/us-east-1b"]);
    expect(names({ volumeZone: "us-east-1c" })).toEqual([]);
  });

  it("keeps the instance that is there, as long as its type is wanted", () => {
    const existing = { instanceType: "g5.xlarge", zone: "us-east-1b" };
    expect(names({ existing })[0]).toBe("g5.xlarge/us-east-1b");
    expect(names({ existing, instanceTypes: ["g6.xlarge"] })).not.toContain("g5.xlarge/us-east-1b");
  });

  it("is always one that is offered, has a subnet and is not left out; each once", () => {
    const zone = fc.constantFrom("a", "b", "c");
    const type = fc.constantFrom("g4dn.xlarge", "g5.xlarge", "g6.xlarge");
    const place = fc.record({ instanceType: type, zone });
    fc.assert(
      fc.property(
        fc.record({
          instanceTypes: fc.uniqueArray(type, { minLength: 1 }),
          offerings: fc.array(place),
          zones: fc.uniqueArray(zone),
          volumeZone: fc.option(zone, { nil: undefined }),
          existing: fc.option(place, { nil: undefined }),
          unavailable: fc.array(place.map(placementName)),
        }),
        (some) => {
          const found = placements(some);
          const offered = some.offerings.map(placementName);
          expect(new Set(found.map(placementName)).size).toBe(found.length);
          for (const each of found) {
            expect(offered).toContain(placementName(each));
            expect(some.zones).toContain(each.zone);
            expect(some.instanceTypes).toContain(each.instanceType);
            expect(some.unavailable).not.toContain(placementName(each));
            if (some.volumeZone) expect(each.zone).toBe(some.volumeZone);
          }
        },
      ),
    );
  });

  it("says why there is none", () => {
    expect(noPlacement({ ...facts, offerings: [] }, "us-east-1")).toContain(
      "us-east-1 does not offer g6.xlarge, g5.xlarge",
    );
    expect(noPlacement({ ...facts, volumeZone: "us-east-1c" }, "us-east-1")).toContain(
      "the data volume is in us-east-1c, where a machine has to be as well, and there is no subnet for it",
    );
    const unavailable = ["g6.xlarge/us-east-1a"];
    expect(noPlacement({ ...facts, unavailable }, "us-east-1")).toContain(
      "without capacity: g6.xlarge/us-east-1a",
    );
    expect(noPlacement({ ...facts, zones: [] }, "us-east-1")).toContain("zones with a subnet: none");
  });
});

describe("the host key", () => {
  it("is the same at every run, and another one for another seed", () => {
    expect(hostKey("seed")).toEqual(hostKey("seed"));
    expect(hostKey("seed").publicKey).not.toBe(hostKey("seed2").publicKey);
  });
});

describe("the user data", () => {
  const text = userData(hostKey("seed"));

  it("pins the host key, lets nobody in by password or as root, and leaves its mark at the end", () => {
    const { ssh_keys, ssh_deletekeys, disable_root, ssh_pwauth, runcmd } = parse(text);
    const { privateKey, publicKey } = hostKey("seed");
    expect(ssh_keys).toEqual({ ed25519_private: privateKey, ed25519_public: publicKey });
    expect({ ssh_deletekeys, disable_root, ssh_pwauth }).toEqual({
      ssh_deletekeys: true,
      disable_root: true,
      ssh_pwauth: false,
    });
    expect(runcmd.at(-1)).toEqual(["touch", SENTINEL]);
  });

  it("is small", () => {
    expect(Buffer.byteLength(text)).toBeLessThan(2048);
  });
});

describe("the machine's permissions", () => {
  const region = "us-east-1";
  const pets = { bucket: "pets", prefix: "v1/images" };
  const statements = (s3: S3Prefix[], at = region) => permissions({ region: at, s3 })?.Statement;

  it("are none where it reads nothing", () => {
    expect(permissions({ region, s3: [] })).toBeUndefined();
  });

  it("let it read just the folders of S3 that are named, and do nothing else", () => {
    expect(statements([pets])).toEqual([
      {
        Effect: "Allow",
        Action: ["s3:ListBucket"],
        Resource: ["arn:aws:s3:::pets"],
        Condition: { StringLike: { "s3:prefix": ["v1/images", "v1/images/*"] } },
      },
      { Effect: "Allow", Action: ["s3:GetObject"], Resource: ["arn:aws:s3:::pets/v1/images/*"] },
    ]);
  });

  it("take in a whole bucket when no folder is named, and never write", () => {
    expect(statements([pets, { bucket: "dogs", prefix: "" }])?.slice(2)).toEqual([
      { Effect: "Allow", Action: ["s3:ListBucket"], Resource: ["arn:aws:s3:::dogs"] },
      { Effect: "Allow", Action: ["s3:GetObject"], Resource: ["arn:aws:s3:::dogs/*"] },
    ]);
  });

  it("are for the folders that the data sets name", () => {
    expect(
      s3Prefixes([
        "https://example.org/x.zip",
        "s3://pets",
        "s3://pets/",
        "s3://pets/v1/images/",
        "file:///s3",
      ]),
    ).toEqual([
      { bucket: "pets", prefix: "" },
      { bucket: "pets", prefix: "" },
      { bucket: "pets", prefix: "v1/images" },
    ]);
  });

  it.each([
    ["cn-north-1", "arn:aws-cn:"],
    ["us-gov-west-1", "arn:aws-us-gov:"],
  ])("are written for the partition of %s", (at, arn) => {
    expect(statements([pets], at)?.[0]?.Resource[0]).toContain(arn);
  });
});
