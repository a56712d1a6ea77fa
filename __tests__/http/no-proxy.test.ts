import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { Exchange } from '../../src/http/exchange.js';
import { isWithoutProxy } from '../../src/http/no-proxy.js';
import { closeServers, request, startProxy, startServer } from '../support/servers/servers.js';

describe('no_proxy, as programs in Go read it', () => {
  it.each<[string, string, boolean]>([
    ['https://registry.corp.test/', '*.corp.test', true],
    ['https://a.b.corp.test/', '*.corp.test', true],
    ['https://corp.test/', '*.corp.test', false],
    ['https://registry.corp.test/', '.corp.test', true],
    ['https://corp.test/', '.corp.test', false],
    ['https://corp.test/', 'corp.test', true],
    ['https://registry.corp.test/', 'corp.test', true],
    ['https://notcorp.test/', 'corp.test', false],
    ['https://corp.test.evil/', 'corp.test', false],
    ['https://registry.CORP.test/', 'localhost , *.Corp.Test', true],
    ['https://corp.test./', 'corp.test', true],
    ['https://corp.test/', 'corp.test.', true],
    ['https://registry.corp.test/', 'corp.test:443', true],
    ['https://registry.corp.test:5000/', 'corp.test:443', false],
    ['https://registry.corp.test:5000/', '*.corp.test:5000', true],
    ['http://registry.corp.test/', 'corp.test:80', true],
    ['https://anything.test/', '*', true],
    ['https://anything.test/', 'a.test *', true],
    ['https://10.1.2.3/', '10.0.0.0/8', true],
    ['https://10.1.2.3:5000/', '10.0.0.0/8', true],
    ['https://10.1.2.3/', '10.9.9.9/8', true],
    ['https://11.1.2.3/', '10.0.0.0/8', false],
    ['https://11.1.2.3/', '0.0.0.0/0', true],
    ['https://10.1.2.3/', '10.1.2.3', true],
    ['https://10.1.2.3:5000/', '10.1.2.3:5000', true],
    ['https://10.1.2.3:5000/', '10.1.2.3:443', false],
    ['https://10.1.2.3/', '2.3', false],
    ['https://10.1.2.3/', '.2.3', false],
    ['https://[fd00::12]/', 'fd00::/8', true],
    ['https://[fd00::12]:5000/', '[fd00::]/8', true],
    ['https://[fe00::12]/', 'fd00::/8', false],
    ['https://[fd00::12]/', 'fd00:0:0::12', true],
    ['https://[fd00::12]/', '[fd00::12]', true],
    ['https://[fd00::12]:5000/', '[fd00::12]:5000', true],
    ['https://[fd00::12]:5000/', '[fd00::12]:443', false],
    ['https://[fd00::12]/', '10.0.0.0/8', false],
    ['https://10.1.2.3/', '::/0', false],
    ['https://[::ffff:10.1.2.3]/', '10.0.0.0/8', true],
    ['https://ten.test/', '10.0.0.0/8', false],
    ['https://10.1.2.3/', '10.0.0.0/99', false],
    ['https://10.1.2.3/', '10.0.0.0/-1', false],
    ['https://10.1.2.3/', '10.0.0/8', false],
    ['https://corp.test/', '*.', false],
    ['https://corp.test/', '.', false],
    ['https://corp.test/', ':443', false],
    ['https://corp.test/', ' , ', false],
    ['https://corp.test/', '', false],
  ])('a request to %s with %s goes without a proxy: %s', (url, list, expected) => {
    expect(isWithoutProxy(new URL(url), list)).toBe(expected);
  });
});

describe('a request', () => {
  const names = ['no_proxy', 'http_proxy', 'NO_PROXY', 'HTTP_PROXY'];
  const before = names.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  const clear = () => {
    names.forEach((name) => Reflect.deleteProperty(process.env, name));
  };
  const exchanges: { close: () => void }[] = [];
  beforeEach(clear);
  afterEach(async () => {
    clear();
    exchanges.splice(0).forEach((one) => one.close());
    await closeServers();
  });
  afterAll(() => {
    Object.assign(process.env, Object.fromEntries(before));
  });

  it.each([
    ['no_proxy', '*.invalid'],
    ['NO_PROXY', 'registry.invalid:80'],
  ])('goes around a proxy for %s=%s, whichever case that is in', async (name, value) => {
    const server = await startServer((_seen, response) => response.end('through'));
    const proxy = await startProxy(server.port);
    process.env['HTTP_PROXY'] = proxy.url;
    process.env[name] = value;
    const exchange = new Exchange({ concurrency: 4, insecure: false, userAgent: 'tests' });
    exchanges.push(exchange);
    await expect(exchange.send(request('http://registry.invalid/'))).rejects.toMatchObject({
      kind: 'dns',
    });
    expect((await exchange.send(request('http://other.test/'))).body.toString()).toBe('through');
    expect(proxy.tunnels.map(({ target }) => target)).toEqual(['other.test:80']);
  });
});
