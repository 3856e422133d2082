import { BlockList, isIP } from "node:net";

/** Networks of IPv4 that are not the public's. [IANA's registry of special-purpose addresses] */
const NOT_PUBLIC_4 = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private
  "100.64.0.0/10", // of carriers' NAT
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link-local, clouds' metadata
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.31.196.0/24", // AS112
  "192.52.193.0/24", // AMT
  "192.88.99.0/24", // relays of 6to4
  "192.168.0.0/16", // private
  "192.175.48.0/24", // AS112
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, broadcast
];

/**
 * What is public of IPv6 lies in 2000::/3 but for these. Outside of it are loopback, link-local, unique local, multicast,
 * IPv4-mapped and NAT64 addresses.
 */
const NOT_PUBLIC_6 = [
  "2001::/23", // protocol assignments, Teredo
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4: an IPv4 address inside
  "2620:4f:8000::/48", // AS112
  "3fff::/20", // documentation
];

function list(networks: readonly string[], type: "ipv4" | "ipv6"): BlockList {
  const found = new BlockList();
  for (const network of networks) {
    const [address, bits] = network.split("/");
    found.addSubnet(address, Number(bits), type);
  }
  return found;
}

const reserved4 = list(NOT_PUBLIC_4, "ipv4");
const reserved6 = list(NOT_PUBLIC_6, "ipv6");
const global6 = list(["2000::/3"], "ipv6");

/** Whether an IP address, without brackets, is one of the public internet. False for anything that is no address. */
export function isPublic(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !reserved4.check(address, "ipv4");
  return family === 6 && !address.includes("%") && global6.check(address, "ipv6") && !reserved6.check(address, "ipv6");
}
