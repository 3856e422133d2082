// Fetches pictures as the service does, in any runtime, where names are looked up in a table and this machine stands for the
// internet. usage: url-client PORT; prints what became of each as JSON.
import { pictureFetcher } from "../../src/serve/urls.ts";

const NAMES: Readonly<Record<string, string>> = { "outside.test": "127.0.0.1", "inside.test": "10.0.0.1" };
const { fetch: fetchPicture } = pictureFetcher({
  ...{ limit: 10_000_000, time: 5000, permits: (address) => address === "127.0.0.1" },
  resolve: async (name) => [{ address: NAMES[name], family: 4 }],
});
const near = `http://outside.test:${process.argv[2]}`;
const places = [`${near}/a.png`, "http://inside.test/", "http://[::1]/", `${near}/inside`, `${near}/metadata`];
const found: (number | string)[] = [];
for (const place of places) {
  found.push(
    await fetchPicture(new URL(place)).then(
      ({ length }) => length,
      ({ message }) => message,
    ),
  );
}
process.stdout.write(JSON.stringify(found), () => process.exit(0));
