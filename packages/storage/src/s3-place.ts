import { isKeyPart } from "./object-key.ts";

/** What a region is called where a server of one's own has none. */
const DEFAULT_REGION = "us-east-1";
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** S3 takes keys of 1,024 bytes; ours have half of that. */
const LONGEST_PREFIX = 500;
const SETTINGS: ReadonlySet<string> = new Set(["endpoint", "region", "force_path_style"]);

/** Where in S3, or what speaks like it, objects are kept. */
export interface S3Place {
  readonly bucket: string;
  /** What all keys begin with: empty, or with a slash at its end. */
  readonly prefix: string;
  /** Of a server other than Amazon's. */
  readonly endpoint: string | null;
  /** null: the one that the environment names. */
  readonly region: string | null;
  /** Whether the bucket is named in the path of a request rather than in its host. */
  readonly hasPathStyle: boolean;
}

/**
 * Read `s3://bucket/prefix?endpoint=…&region=…&force_path_style=true`, of which only the bucket is needed.
 *
 * @throws RangeError that says what is wrong with it
 */
export function readS3Place(url: URL): S3Place {
  const { hostname: bucket, searchParams: settings } = url;
  const parts = url.pathname.split("/").filter((part) => part !== "");
  const prefix = parts.map((part) => `${part}/`).join("");
  const endpoint = settings.get("endpoint");
  const region = settings.get("region");
  const style = settings.get("force_path_style") ?? "false";
  const stray = [...settings.keys()].find((name) => !SETTINGS.has(name));
  if (url.username !== "" || url.password !== "") {
    fault("credentials come from the environment, a profile or a role, not from the URL");
  }
  if (url.port !== "") fault("a bucket has no port; name a server with ?endpoint=http://host:port");
  if (!BUCKET.test(bucket)) fault(`${JSON.stringify(bucket)} is no name of a bucket`);
  if (!parts.every(isKeyPart) || prefix.length > LONGEST_PREFIX) {
    fault(`a prefix has letters, digits, dots, dashes and underscores between its slashes`);
  }
  if (stray !== undefined) fault(`unknown setting ${stray}; expected ${[...SETTINGS].join(", ")}`);
  if (endpoint !== null && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? "")) {
    fault("endpoint: expected http://host:port or https://host");
  }
  if (style !== "true" && style !== "false") fault("force_path_style: expected true or false");
  return {
    bucket,
    prefix,
    endpoint,
    region: region ?? (endpoint === null ? null : DEFAULT_REGION),
    hasPathStyle: style === "true",
  };
}

function fault(message: string): never {
  throw new RangeError(`STORAGE_URL: ${message}`);
}
