/**
 * Which hosts are asked without a proxy, by `no_proxy` as Docker and every program in Go read it
 * (golang.org/x/net/http/httpproxy): the http-client knows neither `*.domain` nor blocks of addresses.
 */
import { BlockList, isIP, type IPVersion } from 'node:net';

const PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/**
 * @param list the variable's value: names, `.domain`, `*.domain`, addresses and blocks of them, each but a block with a
 *   port or without, separated by commas; `*` for all
 */
export function isWithoutProxy(url: URL, list: string): boolean {
  const host = bare(url.hostname);
  const port = url.port === '' ? PORTS[url.protocol] : url.port;
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== '' && (entry === '*' || covers(entry, host, port)));
}

function covers(entry: string, host: string, port: string | undefined): boolean {
  const family = familyOf(host);
  const [address = '', length] = entry.split('/');
  const net = bare(address);
  if (length !== undefined) {
    const netFamily = familyOf(net);
    // To Node `::/0` holds every IPv4 address.
    const isOther = family === undefined || (family === 'ipv4' && netFamily === 'ipv6');
    if (isOther || netFamily === undefined || !isPrefix(length, netFamily)) {
      return false;
    }
    const block = new BlockList();
    block.addSubnet(net, Number(length), netFamily);
    return block.check(host, family);
  }
  // `name:port`, `1.2.3.4:port` and `[::1]:port`.
  const [, named = entry, wanted] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
  const name = bare(named);
  if (wanted !== undefined && wanted !== port) {
    return false;
  }
  const nameFamily = familyOf(name);
  if (nameFamily !== undefined) {
    const one = new BlockList();
    one.addAddress(name, nameFamily);
    return family !== undefined && one.check(host, family);
  }
  // An address isn't a name, though it may end with `0.0.1`.
  if (family !== undefined || name === '') {
    return false;
  }
  const domain = name.replace(/^\*?\./, '');
  return domain !== '' && (host.endsWith(`.${domain}`) || (domain === name && host === domain));
}

function isPrefix(length: string, family: IPVersion): boolean {
  return /^\d{1,3}$/.test(length) && Number(length) <= (family === 'ipv4' ? 32 : 128);
}

/** Without the brackets of an IPv6 address and the dot that ends a full name. */
function bare(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/(?<=.)\.$/, '');
}

function familyOf(address: string): IPVersion | undefined {
  return ({ 4: 'ipv4', 6: 'ipv6' } as const)[isIP(address)];
}
