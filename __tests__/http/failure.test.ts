import { describe, expect, it } from '@jest/globals';

import { connectionFailure } from '../../src/http/failure.js';
import { request } from '../support/servers/servers.js';

const failed = (url: string, code: string, fields = {}) =>
  connectionFailure(request(url), Object.assign(new Error('words of Node'), { code, ...fields }));

describe('connectionFailure', () => {
  it.each([
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED',
    'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
  ])('takes %s for a client certificate that is wanted', (code) => {
    const { kind, message } = failed('https://r.test/', code);
    expect(kind).toBe('tls');
    expect(message).toContain('The server wants a client certificate');
    expect(message).not.toMatch(/ca-file|insecure/);
  });

  it.each(['CERT_HAS_EXPIRED', 'ERR_TLS_CERT_ALTNAME_INVALID', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'])(
    'takes %s for what is wrong with the certificate of the server',
    (code) => {
      const { kind, message } = failed('https://r.test/', code);
      expect(kind).toBe('tls');
      expect(message).toMatch(/certificate or handshake was rejected.*ca-file/);
    },
  );

  it.each(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT'])(
    'asks after %s whether the runner can reach it',
    (code) => {
      expect(failed('https://r.test/', code).message).toMatch(
        /Can the runner reach it\?.*self-hosted/,
      );
    },
  );

  it('says what may be behind a connection that broke off, where TLS may be wanted', () => {
    expect(failed('http://r.test:5000/', 'ECONNRESET').message).toContain(
      'put https://r.test:5000',
    );
    expect(failed('https://r.test:5000/', 'ECONNRESET').message).not.toContain('registry-url');
  });

  it.each([
    ['http://r.test/', [0x15, 3, 1, 0, 2], /wants TLS on this port\. Put https:\/\/r\.test/],
    ['https://r.test/', [0x15, 3, 1, 0, 2], /the answer isn't valid HTTP \(HPE_INVALID_CONSTANT\)/],
    ['http://r.test/', [0x53, 0x53, 0x48], /the answer isn't valid HTTP \(HPE_INVALID_CONSTANT\)/],
    ['http://r.test/', undefined, /the answer isn't valid HTTP \(HPE_INVALID_CONSTANT\)/],
  ])('knows an alert of TLS: %s, %j', (url, bytes, words) => {
    const fields = bytes === undefined ? {} : { rawPacket: Buffer.from(bytes) };
    expect(failed(url, 'HPE_INVALID_CONSTANT', fields).message).toMatch(words);
  });
});
