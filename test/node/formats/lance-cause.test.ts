import { expect, it } from "vitest";
import { causeOf } from "../../../src/node/formats/lance-cause.ts";

/** As LanceDB 0.39 wraps what a store's client met. */
const wrapped = (source: string) =>
  `Invalid input, Failed to connect to namespace: IO { source: Generic { store: "S3", source: ${source} }, location: Location { file: "/usr/lance-io-12.0.0/src/object_store.rs", line: 1490, column: 92 }, backtrace: MaybeBacktrace }, /lancedb/src/error.rs:1:2\nmore`;

it.each([
  ["lance error: Not found: a.lance/_versions, /lib.rs:3:4", "lance error: Not found: a.lance/_versions"],
  ["LanceError, /lib.rs:1:2 Caused by: no photos, /lib.rs:3:4", "no photos"],
  [
    wrapped(
      String.raw`Status { status: 404, body: Some("<?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>") }`,
    ),
    "The specified bucket does not exist",
  ],
  [wrapped(`Status { status: 403, body: Some("denied") }`), "denied"],
  [
    wrapped(`ConnectError("tcp connect error", 127.0.0.1:1, Os { code: 111, message: "Connection refused" })`),
    "Connection refused",
  ],
  [
    wrapped(`ConnectError("dns error", Custom { kind: Uncategorized, error: "failed to lookup address" })`),
    "failed to lookup address",
  ],
  [
    wrapped(String.raw`IO { source: "Failed to get AWS credentials: ProviderError { headers: {\"server\": 1} }" }`),
    "Failed to get AWS credentials",
  ],
  ["x".repeat(1000), "x".repeat(300)],
  // What a server sends is not looked through for longer than it takes to read.
  ["/".repeat(1_000_000), "/".repeat(300)],
])("of %.40s", (message, cause) => {
  expect(causeOf(message)).toBe(cause);
});
