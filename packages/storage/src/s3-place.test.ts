import { describe, expect, test } from "vitest";

import { openObjects } from "./open.ts";
import { readS3Place } from "./s3-place.ts";

describe("a URL of S3", () => {
  test("needs no more than a bucket", () => {
    expect(readS3Place(new URL("s3://my-bucket"))).toEqual({
      bucket: "my-bucket",
      prefix: "",
      endpoint: null,
      region: null,
      hasPathStyle: false,
    });
  });

  test("may name a prefix, a server, a region and a style", () => {
    const settings =
      "endpoint=http%3A%2F%2F127.0.0.1%3A7070&region=eu-west-1&force_path_style=true";

    expect(readS3Place(new URL(`s3://my-bucket/a/b/?${settings}`))).toEqual({
      bucket: "my-bucket",
      prefix: "a/b/",
      endpoint: "http://127.0.0.1:7070",
      region: "eu-west-1",
      hasPathStyle: true,
    });
    expect(readS3Place(new URL("s3://my-bucket?endpoint=https://s3.local")).region).toBe(
      "us-east-1",
    );
  });

  test.for([
    ["s3://key:secret@my-bucket", "credentials come from the environment"],
    ["s3://my-bucket:7070/a", "a bucket has no port"],
    ["s3://My_Bucket", "no name of a bucket"],
    ["s3:///a", "no name of a bucket"],
    ["s3://my-bucket/.hidden", "a prefix has"],
    ["s3://my-bucket/a%20b", "a prefix has"],
    [`s3://my-bucket/${"a/".repeat(300)}`, "a prefix has"],
    ["s3://my-bucket?endpoint=127.0.0.1", "expected http://host:port"],
    ["s3://my-bucket?endpoint=ftp://host", "expected http://host:port"],
    ["s3://my-bucket?force_path_style=yes", "expected true or false"],
    ["s3://my-bucket?regoin=eu-west-1", "unknown setting regoin"],
    ["https://example.com", "expected file:///path or s3://bucket/prefix"],
    ["not a URL", "expected file:///path or s3://bucket/prefix"],
  ] as const)("is none: %s", async ([url, message]) => {
    await expect(openObjects(url)).rejects.toThrow(message);
    await expect(openObjects(url)).rejects.toBeInstanceOf(RangeError);
  });
});
