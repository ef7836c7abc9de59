/** Spot requests, which moto does not make: what AWS does with them, and with the instances that they started. */
import { randomBytes } from "node:crypto";

/** A request that started an instance. */
interface SpotRequest {
  id: string;
  type: string;
  behaviour: string;
  state: "active" | "disabled" | "closed" | "cancelled";
  instance: string;
  /** Starts another instance, as the first was; its id. */
  launch: () => Promise<string>;
}

type Parameters = Record<string, string>;

const idsIn = (parameters: Parameters): string[] =>
  Object.entries(parameters).flatMap(([name, id]) => (name.startsWith("SpotInstanceRequestId.") ? id : []));

/** All requests of a cloud. */
export class SpotRequests {
  readonly #requests: SpotRequest[] = [];

  /** Ids that a call names and that there are no requests of. */
  missing(parameters: Parameters): string[] {
    return idsIn(parameters).filter((id) => !this.#requests.some((request) => request.id === id));
  }

  /** Answers the calls that are about requests. */
  answer(action: string, parameters: Parameters): string | undefined {
    const [, verb] = /^(Cancel|Describe)SpotInstanceRequests$/.exec(action) ?? [];
    if (!verb) return undefined;
    const ids = idsIn(parameters);
    const meant = this.#requests.filter(({ id }) => ids.length === 0 || ids.includes(id));
    // The instance is left running, or stopped.
    if (verb === "Cancel") for (const request of meant) request.state = "cancelled";
    const items = meant.map(
      ({ id, state, type, behaviour, instance }) =>
        `<item><spotInstanceRequestId>${id}</spotInstanceRequestId><state>${state}</state><type>${type}</type>` +
        `<instanceInterruptionBehavior>${behaviour}</instanceInterruptionBehavior><instanceId>${instance}</instanceId></item>`,
    );
    const set = `<spotInstanceRequestSet>${items.join("")}</spotInstanceRequestSet>`;
    return `<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${set}</${action}Response>`;
  }

  /** Why instances cannot be stopped or started, where they are on spot and that is no way to treat them. */
  refusal(action: string, instances: string[]): string | undefined {
    const [, verb] = /^(Stop|Start)Instances$/.exec(action) ?? [];
    const request = this.#of(instances).find(
      ({ state, type }) => state === "cancelled" || type === "one-time",
    );
    if (!verb || !request) return undefined;
    const what = request.state === "cancelled" ? "cancelled" : "one-time";
    return `You can't ${verb.toLowerCase()} the Spot Instance '${request.instance}' because it is associated with a ${what} Spot Instance request.`;
  }

  /** Takes down that an instance was launched. */
  launched(parameters: Parameters, instance: string, launch: SpotRequest["launch"]): void {
    if (parameters["InstanceMarketOptions.MarketType"] !== "spot") return;
    const option = (name: string) => parameters[`InstanceMarketOptions.SpotOptions.${name}`];
    this.#requests.push({
      id: `sir-${randomBytes(4).toString("hex")}`,
      type: option("SpotInstanceType") ?? "one-time",
      behaviour: option("InstanceInterruptionBehavior") ?? "terminate",
      state: "active",
      instance,
      launch,
    });
  }

  /** Follows what became of instances. A persistent request whose instance was terminated starts another. */
  async follow(action: string, instances: string[]): Promise<void> {
    for (const request of this.#of(instances)) {
      if (request.state === "cancelled") continue;
      if (action === "StopInstances") request.state = "disabled";
      if (action === "StartInstances") request.state = "active";
      if (action !== "TerminateInstances") continue;
      request.state = request.type === "persistent" ? "active" : "closed";
      if (request.state === "active") request.instance = await request.launch();
    }
  }

  /** Adds the requests to what moto says of instances. */
  mark(xml: string): string {
    return this.#requests.reduce(
      (text, { id, instance }) =>
        text.replace(
          `<instanceId>${instance}</instanceId>`,
          `$&<spotInstanceRequestId>${id}</spotInstanceRequestId>`,
        ),
      xml,
    );
  }

  #of(instances: string[]): SpotRequest[] {
    return this.#requests.filter(({ instance }) => instances.includes(instance));
  }
}
