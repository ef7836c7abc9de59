/** Where the plugin's calls go, and as whom. */
import { EC2Client } from "@aws-sdk/client-ec2";
import { IAMClient } from "@aws-sdk/client-iam";
import { ServiceQuotasClient } from "@aws-sdk/client-service-quotas";
import { SSMClient } from "@aws-sdk/client-ssm";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { z } from "zod";
import type { Properties } from "../../../offline/plugins/shared/values.ts";
import { calling, noted } from "./errors.ts";

const text = z.string().nullish();

/** Arguments of the provider. The SDK sends everything that is no text as JSON. */
export const configSchema = z.strictObject({
  region: text,
  profile: text,
  maxRetries: text,
  defaultTags: text,
  skipCredentialsValidation: text,
  skipMetadataApiCheck: text,
  skipRegionValidation: text,
  skipRequestingAccountId: text,
});

type Tags = Record<string, string>;

/** The clients of one provider. */
export class Cloud {
  readonly #endpoint: string;
  #defaultTags: Tags = {};
  region = "";
  ec2!: EC2Client;
  iam!: IAMClient;
  quotas!: ServiceQuotasClient;
  ssm!: SSMClient;

  /** @throws when the endpoint is not on this machine: nothing here may reach a real account */
  constructor(endpoint: string | undefined) {
    if (!endpoint || !/^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(new URL(endpoint).hostname)) {
      throw new Error(
        `this pulumi-resource-aws is for tests and speaks to this machine only: AWS_ENDPOINT_URL is ${endpoint ?? "not set"}`,
      );
    }
    this.#endpoint = endpoint;
  }

  /** Takes the provider's arguments, and asks whose credentials there are. */
  async configure(args: Properties): Promise<void> {
    const { region, maxRetries, defaultTags, skipCredentialsValidation } = args as z.infer<
      typeof configSchema
    >;
    if (!region) throw new Error("aws: no region: set aws:region or the provider's region");
    this.region = region;
    this.#defaultTags = JSON.parse(defaultTags ?? "{}").tags ?? {};
    const options = {
      region,
      endpoint: this.#endpoint,
      // Whatever the person has: these open nothing anywhere.
      credentials: { accessKeyId: "testing", secretAccessKey: "testing" },
      // The first try is one of them.
      maxAttempts: Number(maxRetries ?? 25),
    };
    this.ec2 = noted(new EC2Client(options));
    this.iam = noted(new IAMClient(options));
    this.quotas = noted(new ServiceQuotasClient(options));
    this.ssm = noted(new SSMClient(options));
    if (skipCredentialsValidation === "true") return;
    await calling(
      // In words of the plugin's own: no provider is there yet.
      "unable to validate AWS credentials.\nDetails: validating provider credentials: retrieving caller identity from STS",
      noted(new STSClient(options)).send(new GetCallerIdentityCommand({})),
    );
  }

  /** The ARN of something of EC2's, in moto's account. */
  arn(kind: string, id: string): string {
    return `arn:aws:ec2:${this.region}:123456789012:${kind}/${id}`;
  }

  /** A resource's own tags and the provider's. */
  tags(own: unknown): Tags {
    return { ...this.#defaultTags, ...(own as Tags | undefined) };
  }

  /**
   * Which of all tags are taken for something's own when it is read: not the provider's, unless they were `repeated` among its own,
   * and those that the provider had for it once.
   */
  ownTags(all: Tags, repeated: Tags = {}): Tags {
    const own = ([key, value]: [string, string]) =>
      this.#defaultTags[key] !== value || repeated[key] === value;
    return Object.fromEntries(Object.entries(all).filter(own));
  }
}

/** Tags as the SDK has them. */
export function tagList(tags: Tags): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** The reverse of {@link tagList}. */
export function tagMap(tags: { Key?: string; Value?: string }[] | undefined): Tags {
  return Object.fromEntries((tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value]));
}
