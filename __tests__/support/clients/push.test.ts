/** The tests' own client, which pushes as others do. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { image } from '../builders/build.js';
import { closeServers, startServer, type TestServer } from '../servers/servers.js';
import { putManifest } from './push.js';

afterEach(closeServers);

describe('a push of a manifest', () => {
  function answering(...statuses: readonly number[]): Promise<TestServer> {
    const left = [...statuses];
    return startServer((_, response) => {
      response.writeHead(left.shift() ?? 201).end();
    });
  }

  it('is sent again where the server fails', async () => {
    const server = await answering(500, 500, 201);
    await putManifest({ url: server.url.href }, 'team/app', image('pushed'), 'latest');
    expect(server.seen).toHaveLength(3);
  });

  it('rejects where the server goes on failing', async () => {
    const server = await answering(500, 500, 500);
    const pushed = putManifest({ url: server.url.href }, 'team/app', image('pushed'), 'latest');
    await expect(pushed).rejects.toThrow('500 instead of 201');
    expect(server.seen).toHaveLength(3);
  });

  it('rejects at once where the server refuses it', async () => {
    const server = await answering(400);
    const pushed = putManifest({ url: server.url.href }, 'team/app', image('pushed'), 'latest');
    await expect(pushed).rejects.toThrow('400 instead of 201');
    expect(server.seen).toHaveLength(1);
  });
});
