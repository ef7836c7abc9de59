/** Which type in which zone: the order in which they are tried. Pure. */

/** A type in a zone. */
export interface Placement {
  instanceType: string;
  zone: string;
}

/** What the choice depends on. */
export interface PlacementFacts {
  /** Types in order of preference. */
  instanceTypes: string[];
  /** Every type in every zone that offers it. */
  offerings: Placement[];
  /** Zones that have a subnet to put the instance in. */
  zones: string[];
  /** The zone of the data volume, once there is one. */
  volumeZone: string | undefined;
  /** Where the instance is, once there is one. */
  existing: Placement | undefined;
  /** What has no capacity, as `placementName` writes it. */
  unavailable: string[];
}

/** `g6.xlarge/us-east-1a`. */
export function placementName({ instanceType, zone }: Placement): string {
  return `${instanceType}/${zone}`;
}

/**
 * Every type in every zone that can be tried, best first: the types as the person prefers them, each in every zone that offers
 * it. An instance that is there comes first as long as its type is still wanted, so that a later run does not move it back.
 */
export function placements(facts: PlacementFacts): Placement[] {
  const { instanceTypes, offerings, existing } = facts;
  const zones = facts.volumeZone === undefined ? facts.zones : [facts.volumeZone];
  const offered = new Set(offerings.map(placementName));
  const ordered = instanceTypes.flatMap((instanceType) =>
    [...zones].sort().map((zone) => ({ instanceType, zone })),
  );
  const possible = ordered.filter(
    (placement) =>
      facts.zones.includes(placement.zone) &&
      offered.has(placementName(placement)) &&
      !facts.unavailable.includes(placementName(placement)),
  );
  const kept = possible.filter(
    (placement) => existing && placementName(placement) === placementName(existing),
  );
  return [...kept, ...possible.filter((placement) => !kept.includes(placement))];
}

/** Why there is nothing to try, with how to fix it. */
export function noPlacement(facts: PlacementFacts, region: string): string {
  const { instanceTypes, offerings, unavailable, volumeZone, zones } = facts;
  const types = instanceTypes.join(", ");
  const tried = unavailable.length > 0 ? `; without capacity: ${unavailable.join(", ")}` : "";
  const where = offerings
    .filter(({ instanceType }) => instanceTypes.includes(instanceType))
    .map(placementName)
    .sort()
    .join(", ");
  if (where === "") return `region ${region} does not offer ${types}: choose others, or another region`;
  if (volumeZone !== undefined && !zones.includes(volumeZone)) {
    const usable = [...zones].sort().join(", ") || "none";
    return `the data volume is in ${volumeZone}, where a machine has to be as well, and there is no subnet for it (those that serve are in: ${usable}): name one in ${volumeZone} as gpubox:host.subnet`;
  }
  if (volumeZone !== undefined) {
    return `nothing to try in ${volumeZone}, where the data volume is (offered: ${where}${tried}): add other types, or try again later`;
  }
  const usable = zones.length > 0 ? [...zones].sort().join(", ") : "none";
  return `nothing left to try (offered: ${where}; zones with a subnet: ${usable}${tried}): add other types, or try again later`;
}
