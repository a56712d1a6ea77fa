/**
 * A private CA and certificates for 127.0.0.1, made again for each test run: nothing to install, no key in
 * the repository, nothing that expires there. Just enough DER for TLS and token signing (RFC 5280).
 */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export interface Certificate {
  /** DER */
  readonly raw: Buffer;
  readonly pem: string;
  /** PKCS #8, PEM */
  readonly keyPem: string;
  readonly privateKey: KeyObject;
}

export interface Authority {
  /** PEM, to be trusted */
  readonly pem: string;
  issue(commonName: string): Certificate;
}

const OID = {
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
} as const;

export function createAuthority(commonName = 'Test CA'): Authority {
  const keys = ecKeys();
  const usage = extension(OID.keyUsage, der(0x03, Buffer.from([1, 0x06])));
  const constraints = extension(OID.basicConstraints, sequence(der(0x01, Buffer.from([0xff]))));
  const raw = certificate(commonName, keys, commonName, keys.privateKey, [constraints, usage]);
  return {
    pem: pem(raw),
    issue: (subject) => {
      const own = ecKeys();
      const names = sequence(
        der(0x82, Buffer.from('localhost')),
        der(0x87, Buffer.from([127, 0, 0, 1])),
      );
      const san = extension(OID.subjectAltName, names);
      const leaf = certificate(subject, own, commonName, keys.privateKey, [san]);
      return {
        raw: leaf,
        pem: pem(leaf),
        keyPem: own.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        privateKey: own.privateKey,
      };
    },
  };
}

function ecKeys(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function certificate(
  subject: string,
  { publicKey }: KeyPair,
  issuer: string,
  issuerKey: KeyObject,
  extensions: readonly Buffer[],
): Buffer {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const day = 24 * 60 * 60 * 1000;
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    // A positive serial number that differs from certificate to certificate.
    der(
      0x02,
      Buffer.concat([Buffer.from([1]), createHash('sha256').update(spki).digest().subarray(0, 15)]),
    ),
    algorithm,
    name(issuer),
    sequence(time(Date.now() - day), time(Date.now() + 30 * day)),
    name(subject),
    spki,
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuerKey);
  return sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
}

function name(commonName: string): Buffer {
  const value = der(0x0c, Buffer.from(commonName));
  return sequence(der(0x31, sequence(oid(OID.commonName), value)));
}

/** UTCTime: two digits of the year, good until 2049. */
function time(epoch: number): Buffer {
  const digits = new Date(epoch).toISOString().replace(/[-:T]/g, '').slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), der(0x04, value));
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function der(tag: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(value.length)]), value]);
}

/** In as few octets as will do: Go refuses anything longer. */
function lengthOctets(length: number): number[] {
  if (length < 0x80) {
    return [length];
  }
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

function pem(raw: Buffer): string {
  const lines = raw.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}
