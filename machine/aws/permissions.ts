/** What the machine may do in the account. Pure: policies as AWS reads them. */
/** A folder of S3: a bucket, and what the keys below it start with. */
export interface S3Prefix {
  bucket: string;
  /** Without a slash at its end; empty for the whole bucket. */
  prefix: string;
}

/** The folders of S3 among the urls of data sets. */
export function s3Prefixes(urls: string[]): S3Prefix[] {
  return urls.flatMap((url) => {
    const [, bucket, prefix = ""] = /^s3:\/\/([^/]+)\/?(.*?)\/?$/.exec(url) ?? [];
    return bucket ? [{ bucket, prefix }] : [];
  });
}

/** What the permissions depend on. */
export interface PermissionArgs {
  region: string;
  /** What the machine may read of S3. */
  s3: S3Prefix[];
}

/** A statement of a policy. */
export interface Statement {
  Sid?: string;
  Effect: "Allow";
  Action: string[];
  Resource: string[];
  Condition?: Record<string, Record<string, string | string[]>>;
}

/** A policy as AWS reads it. */
export interface Policy {
  Version: "2012-10-17";
  Statement: Statement[];
}

/** The account's own machines may take the role, and nobody else. */
export const TRUST = {
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { Service: "ec2.amazonaws.com" }, Action: "sts:AssumeRole" }],
};

/** ARN of AWS's own policy for machines that Session Manager reaches. */
export function sessionManagerPolicy(region: string): string {
  return `arn:${partition(region)}:iam::aws:policy/AmazonSSMManagedInstanceCore`;
}

/** First part of every ARN in a region: China and GovCloud are worlds of their own. */
export function partition(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}

function readS3({ bucket, prefix }: S3Prefix, arn: string): Statement[] {
  return [
    {
      Effect: "Allow",
      Action: ["s3:ListBucket"],
      Resource: [`${arn}:s3:::${bucket}`],
      ...(prefix === "" ? {} : { Condition: { StringLike: { "s3:prefix": [prefix, `${prefix}/*`] } } }),
    },
    {
      Effect: "Allow",
      Action: ["s3:GetObject"],
      Resource: [`${arn}:s3:::${bucket}/${prefix === "" ? "*" : `${prefix}/*`}`],
    },
  ];
}

/** The machine may read what its data comes from; undefined where that is nothing of S3. */
export function permissions({ region, s3 }: PermissionArgs): Policy | undefined {
  const arn = `arn:${partition(region)}`;
  if (s3.length === 0) return undefined;
  return { Version: "2012-10-17", Statement: s3.flatMap((prefix) => readS3(prefix, arn)) };
}
