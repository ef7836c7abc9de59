/** Spot requests, which moto does not make: what AWS does with them, and with the instances that they started. */
import { randomBytes } from "node:crypto";

/** A request that started an instance. */
interface SpotRequest {
  id: string;
  type: string;
  behaviour: string;
  /** The most that is paid: what it costs on demand where nothing else was said. */
  price: string;
  state: "active" | "disabled" | "closed" | "cancelled";
  /** Why it is in its state. */
  status: keyof typeof STATUSES;
  /** Since when. */
  since: string;
  instance: string;
  /** Starts another instance, as the first was; its id. */
  launch: () => Promise<string>;
}

/** Status codes of EC2, with their messages. */
const STATUSES = {
  fulfilled: "Your Spot request is fulfilled.",
  "marked-for-stop": "The Spot Instance is marked for stopping.",
  "instance-stopped-by-user": "Your Spot instance was stopped due to user-initiated action.",
  "instance-stopped-no-capacity":
    "Your Spot instance was stopped because there is no Spot capacity available.",
  "instance-terminated-by-user": "Spot Instance terminated due to user-initiated termination.",
  "request-canceled-and-instance-running":
    "Your Spot request has been canceled, but your Spot instance is still running.",
} as const;

/** Why EC2 stops an instance itself. */
const INTERRUPTED = "Server.SpotInstanceShutdown";

type Parameters = Record<string, string>;

/** An answer of EC2 that is an error. */
export interface Refusal {
  code: string;
  message: string;
}

const idsIn = (parameters: Parameters): string[] =>
  Object.entries(parameters).flatMap(([name, id]) => (name.startsWith("SpotInstanceRequestId.") ? id : []));

/** The filters of a call, by name. */
export function filtersIn(parameters: Parameters): Map<string, string[]> {
  const names = Object.entries(parameters).filter(([key]) => /^Filter\.\d+\.Name$/.test(key));
  return new Map(
    names.map(([key, name]) => {
      const prefix = key.replace(/Name$/, "Value.");
      const values = Object.entries(parameters).filter(([each]) => each.startsWith(prefix));
      return [name, values.map(([, value]) => value)];
    }),
  );
}

/** All requests of a cloud. */
export class SpotRequests {
  readonly #requests: SpotRequest[] = [];
  /** How long a request is behind when its instance was stopped: nobody can start it meanwhile. */
  readonly lag = { seconds: 0 };

  /** Ids that a call names and that there are no requests of. */
  missing(parameters: Parameters): string[] {
    return idsIn(parameters).filter((id) => !this.#requests.some((request) => request.id === id));
  }

  /** Instances that requests started, those of the requests `ids` or of all. */
  instances(ids?: string[]): string[] {
    return this.#requests.filter(({ id }) => ids?.includes(id) ?? true).map(({ instance }) => instance);
  }

  /** Answers the calls that are about requests. */
  answer(action: string, parameters: Parameters): string | undefined {
    const [, verb] = /^(Cancel|Describe)SpotInstanceRequests$/.exec(action) ?? [];
    if (!verb) return undefined;
    this.#settle();
    const ids = idsIn(parameters);
    const meant = this.#matching(filtersIn(parameters)).filter(
      ({ id }) => ids.length === 0 || ids.includes(id),
    );
    // The instance is left running, or stopped.
    if (verb === "Cancel")
      for (const request of meant) set(request, "cancelled", "request-canceled-and-instance-running");
    const items = meant.map(
      ({ id, state, status, since, type, behaviour, price, instance }) =>
        `<item><spotInstanceRequestId>${id}</spotInstanceRequestId><spotPrice>${price}</spotPrice><state>${state}</state>` +
        `<status><code>${status}</code><updateTime>${since}</updateTime><message>${STATUSES[status]}</message></status><type>${type}</type>` +
        `<instanceInterruptionBehavior>${behaviour}</instanceInterruptionBehavior><instanceId>${instance}</instanceId></item>`,
    );
    const body = `<spotInstanceRequestSet>${items.join("")}</spotInstanceRequestSet>`;
    return `<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${body}</${action}Response>`;
  }

  /** Why instances cannot be stopped or started, where they are on spot and that is no way to treat them. */
  refusal(action: string, instances: string[]): Refusal | undefined {
    const [, verb = ""] = /^(Stop|Start)Instances$/.exec(action) ?? [];
    const [request] = verb === "" ? [] : this.#of(instances);
    if (!request) return undefined;
    const cannot = `You can't ${verb.toLowerCase()} the Spot Instance '${request.instance}' because`;
    if (request.state === "cancelled" || request.type === "one-time") {
      const what = request.state === "cancelled" ? "cancelled" : "one-time";
      const message = `${cannot} it is associated with a ${what} Spot Instance request.`;
      return { code: "UnsupportedOperation", message };
    }
    this.#settle();
    // What EC2 stopped, EC2 alone starts.
    if (verb === "Start" && /^(instance-stopped-no-capacity|marked-for-stop)$/.test(request.status)) {
      const message = `${cannot} the associated Spot Instance request is not in an appropriate state to support start.`;
      return { code: "IncorrectSpotRequestState", message };
    }
    return undefined;
  }

  /** Takes down that an instance was launched. */
  launched(parameters: Parameters, instance: string, launch: SpotRequest["launch"]): void {
    if (parameters["InstanceMarketOptions.MarketType"] !== "spot") return;
    const option = (name: string) => parameters[`InstanceMarketOptions.SpotOptions.${name}`];
    this.#requests.push({
      id: `sir-${randomBytes(4).toString("hex")}`,
      type: option("SpotInstanceType") ?? "one-time",
      behaviour: option("InstanceInterruptionBehavior") ?? "terminate",
      price: option("MaxPrice") ?? "0.804800",
      state: "active",
      status: "fulfilled",
      since: new Date().toISOString(),
      instance,
      launch,
    });
  }

  /** Follows what became of instances. A persistent request whose instance was terminated starts another. */
  async follow(action: string, instances: string[]): Promise<void> {
    for (const request of this.#of(instances)) {
      if (request.state === "cancelled") {
        if (action === "TerminateInstances") set(request, "cancelled", "instance-terminated-by-user");
        continue;
      }
      if (action === "StopInstances") set(request, "active", "marked-for-stop");
      if (action === "StartInstances") set(request, "active", "fulfilled");
      if (action !== "TerminateInstances") continue;
      if (request.type !== "persistent") set(request, "closed", "instance-terminated-by-user");
      else {
        set(request, "active", "fulfilled");
        request.instance = await request.launch();
      }
    }
  }

  /** Takes down that EC2 itself stopped an instance. @throws when it is none that it could stop */
  interrupted(instance: string): void {
    this.#settle();
    set(this.#running(instance, "active"), "disabled", "instance-stopped-no-capacity");
  }

  /** Takes down that EC2 itself starts what it has stopped. @throws when that is not so */
  resumed(instance: string): void {
    set(this.#running(instance, "disabled"), "active", "fulfilled");
  }

  /** One instance as moto describes it, with what is to be known of its request. */
  mark(instance: string, xml: string): string {
    const [request] = this.#of([instance]);
    if (!request) return xml;
    const marked = xml
      .replace(/<instanceLifecycle>.*?<\/instanceLifecycle>/s, "")
      .replace(
        `<instanceId>${instance}</instanceId>`,
        `$&<spotInstanceRequestId>${request.id}</spotInstanceRequestId><instanceLifecycle>spot</instanceLifecycle>`,
      );
    if (request.status !== "instance-stopped-no-capacity") return marked;
    const reason = `<code>${INTERRUPTED}</code><message>${INTERRUPTED}: Your Spot instance was stopped because there is no Spot capacity available.</message>`;
    return marked.replace(/<stateReason>.*?<\/stateReason>/s, `<stateReason>${reason}</stateReason>`);
  }

  /** Has requests catch up with their instances. */
  #settle(): void {
    for (const request of this.#requests)
      if (
        request.status === "marked-for-stop" &&
        Date.now() - Date.parse(request.since) >= this.lag.seconds * 1000
      )
        set(request, "disabled", "instance-stopped-by-user");
  }

  #of(instances: string[]): SpotRequest[] {
    return this.#requests.filter(({ instance }) => instances.includes(instance));
  }

  #running(instance: string, state: SpotRequest["state"]): SpotRequest {
    const request = this.#of([instance]).find((each) => each.state === state);
    if (request?.behaviour !== "stop")
      throw new Error(`${instance} is of no ${state} spot request that stops`);
    return request;
  }

  #matching(filters: Map<string, string[]>): SpotRequest[] {
    const values: Record<string, (request: SpotRequest) => string> = {
      "instance-id": ({ instance }) => instance,
      "spot-instance-request-id": ({ id }) => id,
      state: ({ state }) => state,
      type: ({ type }) => type,
    };
    return this.#requests.filter((request) =>
      [...filters].every(([name, wanted]) => {
        const value = values[name];
        if (!value) throw new Error(`the filter ${name} of spot requests is not known to the tests`);
        return wanted.includes(value(request));
      }),
    );
  }
}

function set(request: SpotRequest, state: SpotRequest["state"], status: SpotRequest["status"]): void {
  Object.assign(request, { state, status, since: new Date().toISOString() });
}
