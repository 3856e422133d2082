// Reads a file of a server in the runtime that this runs in, with a token, and prints what it found.
import { createHash } from "node:crypto";
import { openRemote } from "../../src/network/http.ts";

const found = await openRemote(new URL(process.argv.at(-1)!), { token: "secret", pause: 1, idle: 5000 });
const hash = createHash("sha1");
let failure = "";
try {
  for await (const bytes of found!.stream(0, found!.size)) hash.update(bytes);
} catch (error) {
  failure = String(error);
}
const { etag, commit, ranges, size } = found!;
console.log(JSON.stringify({ etag, commit, ranges, size, failure, sha1: hash.digest("hex") }));
