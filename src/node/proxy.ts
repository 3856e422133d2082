import { BlockList, isIP } from "node:net";
import { mismatch, shorten } from "../support/error.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** `fetch` by the proxy that the environment names for a URL, which Deno and Bun heed themselves. */
export const proxiedFetch: typeof fetch = async (input, init) => {
  const foreign = "Bun" in globalThis || "Deno" in globalThis;
  const proxy = foreign ? undefined : proxyFor(new URL(input instanceof Request ? input.url : input));
  if (proxy === undefined) return fetch(input, init);
  // Node's own fetch takes no agents of another version of the library that it is made of.
  const undici = await import("undici");
  const agent = agents.get(proxy) ?? new undici.ProxyAgent({ uri: proxy, proxyTunnel: false });
  agents.set(proxy, agent);
  const options = { ...init, dispatcher: agent } as import("undici").RequestInit;
  return (await undici.fetch(input as string | URL, options)) as unknown as Response;
};

const agents = new Map<string, import("undici").ProxyAgent>();

/**
 * The proxy for a URL by `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (small letters come first), read as
 * Python's clients read them: a name in `NO_PROXY` stands for itself and all below it, `*` for every host. Throws a
 * SiglipError for a proxy of another kind than http and https.
 */
export function proxyFor(url: URL, env: Environment = process.env): string | undefined {
  const variable = (name: string) => env[name.toLowerCase()] || env[name.toUpperCase()] || undefined;
  const kind = /^https?:$/.test(url.protocol) ? url.protocol.slice(0, -1) : undefined;
  // On a web server HTTP_PROXY may be a header of somebody's request.
  const own = kind === "http" && env.REQUEST_METHOD ? env.http_proxy || undefined : kind && variable(`${kind}_proxy`);
  const proxy = own ?? (kind && variable("all_proxy"));
  if (!proxy || isExempt(url, variable("no_proxy") ?? "")) return undefined;
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address;
  throw mismatch(
    "unsupported",
    `${kind!.toUpperCase()}_PROXY`,
    "the address of an http or https proxy",
    JSON.stringify(shorten(address)),
    "name one, or unset it",
  );
}

function isExempt(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return list
    .toLowerCase()
    .split(",")
    .map((entry) => entry.trim())
    .some((entry) => entry === "*" || isNamed(entry, host, port));
}

function isNamed(entry: string, host: string, port: string): boolean {
  const [, network, bits] = /^([\d.]+|[\da-f:]+)\/(\d{1,3})$/.exec(entry) ?? [];
  if (network !== undefined) return isWithin(host, network, Number(bits));
  const [, name, of] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry)!;
  const domain = name.replace(/^\*?\./, "");
  if (domain === "" || (of !== undefined && of !== port)) return false;
  return host === domain || (isIP(host) === 0 && host.endsWith(`.${domain}`));
}

function isWithin(host: string, network: string, bits: number): boolean {
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family || bits > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? "ipv4" : "ipv6";
  const hosts = new BlockList();
  hosts.addSubnet(network, bits, type);
  return hosts.check(host, type);
}
