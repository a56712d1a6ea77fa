/**
 * Tells which hosts are the machine itself or on its own link, cloud metadata services included. A registry elsewhere
 * has no business to send anybody there. Pure: names are not resolved.
 */
import { BlockList, isIPv6 } from 'node:net';

const LOOPBACK_NAME =
  /^(?:(?:.+\.)?localhost|localhost[46]|ip6-localhost|ip6-loopback|localhost[46]?\.localdomain[46]?)$/;
/** Names that clouds give to 169.254.169.254 and its like. */
const METADATA_NAME =
  /^(?:metadata\.google\.internal|metadata\.goog|instance-data(?:\.ec2\.internal)?)$/;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
// "This host": connects to loopback on Linux.
loopback.addSubnet('0.0.0.0', 8);
// ::, ::1 and the IPv4-compatible addresses. IPv4-mapped ones are compared as IPv4 by BlockList itself.
loopback.addSubnet('::', 104, 'ipv6');
loopback.addSubnet('::7f00:0', 104, 'ipv6');
// The same through NAT64 (RFC 6052).
loopback.addSubnet('64:ff9b::7f00:0', 104, 'ipv6');

const link = new BlockList();
link.addSubnet('169.254.0.0', 16);
link.addSubnet('fe80::', 10, 'ipv6');
link.addSubnet('::a9fe:0', 112, 'ipv6');
link.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6');
// Amazon's metadata over IPv6.
link.addAddress('fd00:ec2::254', 'ipv6');

/** @param url its parser has turned every way to write an address (decimal, hexadecimal, short) into one */
export function nearby({ hostname }: URL): 'loopback' | 'link-local' | undefined {
  const host = hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  const family = isIPv6(host) ? 'ipv6' : 'ipv4';
  if (LOOPBACK_NAME.test(host) || loopback.check(host, family)) {
    return 'loopback';
  }
  return METADATA_NAME.test(host) || link.check(host, family) ? 'link-local' : undefined;
}
