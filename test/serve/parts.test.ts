import { describe, expect, it } from "vitest";
import { isPublic } from "../../src/serve/addresses.ts";
import { readBody } from "../../src/serve/body.ts";
import { keyChecker } from "../../src/serve/key.ts";
import { Metrics } from "../../src/serve/metrics.ts";
import { Room } from "../../src/serve/room.ts";

describe("an address", () => {
  const PUBLIC = [
    ...["8.8.8.8", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "223.255.255.255"],
    ...["2606:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001::200e"],
  ];
  const OTHERS = [
    ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254"],
    ...["172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"],
    ...["198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"],
    ...["::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "fec0::1", "100::1"],
    ...["::ffff:8.8.8.8", "::ffff:127.0.0.1", "::ffff:7f00:1", "::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808"],
    ...["64:ff9b:1::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1", "5f00::1"],
    ...["", "localhost", "1.2.3", "127.1", "0x7f.0.0.1", "[::1]", "1.2.3.4.5"],
  ];

  it("is the public's or not", () => {
    expect(PUBLIC.filter((address) => !isPublic(address))).toEqual([]);
    expect(OTHERS.filter(isPublic)).toEqual([]);
  });
});

describe("a key", () => {
  it("is known by all of it", () => {
    const isRight = keyChecker("secret-1");
    expect(["Bearer secret-1", "bearer  secret-1"].map(isRight)).toEqual([true, true]);
    const wrong = [
      undefined,
      "",
      "Bearer",
      "Bearer ",
      "Bearer secret-",
      "Bearer secret-11",
      "Basic secret-1",
      "secret-1",
    ];
    expect(wrong.map(isRight)).toEqual(wrong.map(() => false));
  });
});

describe("a body", () => {
  const limits = { maxBody: 10, bodyTime: 50 };
  const post = (body: BodyInit, headers: Record<string, string> = {}) =>
    new Request("http://localhost/", { method: "POST", body, headers, duplex: "half" } as RequestInit);
  const stream = (...pieces: string[]) => new Blob(pieces).stream();
  const status = (promise: Promise<unknown>) =>
    promise.then(
      () => 200,
      (error) => error.status,
    );

  it("is read up to the limit, whether its length is known or not", async () => {
    const room = new Room(25);
    const read = async (request: Request) => {
      const share = room.share();
      const bytes = await readBody(request, limits, share).catch((error) => {
        share.free();
        throw error;
      });
      return { share, text: new TextDecoder().decode(bytes) };
    };
    const body = await read(post(stream("01234", "56789")));
    const known = await read(post("0123456789", { "Content-Length": "10" }));
    expect([body.text, known.text]).toEqual(["0123456789", "0123456789"]);
    expect(await status(read(post(stream("012345"))))).toBe(429);
    known.share.free();
    body.share.free();
    expect(await status(read(post(stream("01234", "567890"))))).toBe(413);
    expect(await status(read(post("x", { "Content-Length": "11" })))).toBe(413);
    expect(await status(read(post("x", { "Content-Encoding": "gzip" })))).toBe(415);
    expect(await status(read(post(new ReadableStream())))).toBe(408);
    const broken = new ReadableStream({ start: (controller) => controller.error(new Error("cut")) });
    expect(await status(read(post(broken)))).toBe(400);
    room.share().take(25);
  });
});

describe("metrics", () => {
  it("are in Prometheus's text form", () => {
    const metrics = new Metrics();
    const count = metrics.counter("a_total", "A.");
    count({ kind: 'x"\n' });
    count({ kind: 'x"\n' }, 2);
    metrics.gauge("b", "B.", () => [[{}, 1.5]]);
    const take = metrics.histogram("c", "C.", [1, 2]);
    for (const value of [0.5, 1, 1.5, 3]) take(value, { route: "/" });
    expect(metrics.text().split("\n")).toEqual([
      ...["# HELP a_total A.", "# TYPE a_total counter", 'a_total{kind="x\\"\\n"} 3'],
      ...["# HELP b B.", "# TYPE b gauge", "b 1.5"],
      ...["# HELP c C.", "# TYPE c histogram", 'c_bucket{route="/",le="1"} 2', 'c_bucket{route="/",le="2"} 3'],
      ...['c_bucket{route="/",le="+Inf"} 4', 'c_sum{route="/"} 6', 'c_count{route="/"} 4', ""],
    ]);
  });
});
