/** Where the plugin's calls go, and as whom. */
import { EC2Client } from "@aws-sdk/client-ec2";
import { IAMClient } from "@aws-sdk/client-iam";
import { ServiceQuotasClient } from "@aws-sdk/client-service-quotas";
import { SSMClient } from "@aws-sdk/client-ssm";
import { z } from "zod";
import type { Properties } from "../../../offline/plugins/shared/values.ts";

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

  /** Takes the provider's arguments. */
  configure(args: Properties): void {
    const { region, maxRetries, defaultTags } = args as z.infer<typeof configSchema>;
    if (!region) throw new Error("aws: no region: set aws:region or the provider's region");
    this.region = region;
    this.#defaultTags = JSON.parse(defaultTags ?? "{}").tags ?? {};
    const options = {
      region,
      endpoint: this.#endpoint,
      // Whatever the person has: these open nothing anywhere.
      credentials: { accessKeyId: "testing", secretAccessKey: "testing" },
      maxAttempts: 1 + Number(maxRetries ?? 25),
    };
    this.ec2 = new EC2Client(options);
    this.iam = new IAMClient(options);
    this.quotas = new ServiceQuotasClient(options);
    this.ssm = new SSMClient(options);
  }

  /** A resource's own tags and the provider's. */
  tags(own: unknown): Tags {
    return { ...this.#defaultTags, ...(own as Tags | undefined) };
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
