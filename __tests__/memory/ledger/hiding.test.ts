import { afterEach, describe, expect, it } from '@jest/globals';

import { artifactOf } from '../../../src/memory/ledger/artifact.js';
import { withoutEntries } from '../../../src/memory/ledger/hiding.js';
import { image } from '../../support/builders/build.js';
import { seed } from '../../support/clients/push.js';
import { startClient, stopClients } from '../../support/clients/client.js';

afterEach(stopClients);

describe('the tags of a repository that has the ledger in it', () => {
  const { tag } = artifactOf('team/app', Buffer.from('an entry'));

  it.each([
    { where: 'in it', repository: 'team/ledger', expected: ['v1'] },
    { where: 'in another', repository: 'team/app', expected: [tag, 'v1'] },
  ])('leave those of entries out $where', async ({ repository, expected }) => {
    const { registry, reader } = await startClient();
    seed(registry.state, repository, image('one'), 'v1', tag);
    const hidden = withoutEntries(reader, 'team/ledger');
    expect(await hidden.tags(repository)).toEqual(expected);
    // All else is asked of the registry as it is.
    expect(await hidden.resolve(repository, tag)).toBe(image('one').digest);
  });

  it('include those of entries where the ledger is switched off', async () => {
    const { registry, reader } = await startClient();
    seed(registry.state, 'team/app', image('one'), tag);
    expect(await withoutEntries(reader, undefined).tags('team/app')).toEqual([tag]);
  });
});
