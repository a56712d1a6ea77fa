/** Pulp starts, its judge sees what it stores, and it does what the family relies on. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { MANIFEST_ACCEPT } from '../../../src/oci/media-types.js';
import { image, index, referrer, type Content } from '../builders/build.js';
import { push, send, type Exchange } from '../clients/push.js';
import { pullWhole } from '../clients/pull.js';
import { describeWith } from './describe-with.js';
import { findPulp, startPulp, type Pulp } from './pulp.js';
import { present } from './real-registries.js';
import { leftovers } from './unstarted.js';

const program = findPulp();

const CONTENT = '/pulp/api/v3/content/container/manifests/';

describeWith('pulp', program, 'Pulp', () => {
  let pulp: Pulp;

  beforeAll(async () => {
    pulp = await startPulp(present(program));
  }, 180_000);

  afterAll(async () => {
    await pulp.stop();
    await expect(send(pulp, { method: 'GET', path: '/v2/' })).rejects.toThrow(
      /ECONNREFUSED|hang up/,
    );
  });

  const at = (method: string, path: string, body?: object): Promise<Exchange> =>
    send(pulp, {
      method,
      path,
      ...(body === undefined
        ? { headers: { accept: MANIFEST_ACCEPT } }
        : {
            headers: { 'content-type': 'application/json' },
            body: Buffer.from(JSON.stringify(body)),
          }),
    });
  const read = async (path: string): Promise<Record<string, unknown>> => {
    const answer = await send(pulp, { method: 'GET', path });
    expect(answer.status).toBe(200);
    return JSON.parse(answer.body.toString('utf8')) as Record<string, unknown>;
  };
  const resultsOf = async (path: string) =>
    (await read(path))['results'] as Record<string, string>[];
  const headOf = async (repository: string, reference: string) =>
    (await at('HEAD', `/v2/${repository}/manifests/${reference}`)).status;

  async function repositoryOf(name: string): Promise<string> {
    const query = `base_path=${name}&fields=repository`;
    const path = `/pulp/api/v3/distributions/container/container/?${query}`;
    return (await resultsOf(path))[0]?.['repository'] ?? '';
  }

  /** The units of the latest version, by digest, as the API lists them. */
  async function unitsOf(name: string): Promise<Map<string, string>> {
    const version = String((await read(await repositoryOf(name)))['latest_version_href']);
    const query = `repository_version=${version}&limit=100&fields=pulp_href,digest`;
    const units = await resultsOf(`${CONTENT}?${query}`);
    return new Map(units.map(({ digest = '', pulp_href: href = '' }) => [digest, href]));
  }

  async function change(name: string, how: 'add' | 'remove', ...units: string[]): Promise<void> {
    const answer = await at('POST', `${await repositoryOf(name)}${how}/`, { content_units: units });
    expect(answer.status).toBe(202);
    await pulp.settled();
    const { task = '' } = JSON.parse(answer.body.toString('utf8')) as { task?: string };
    expect(await read(task)).toMatchObject({ state: 'completed' });
  }

  /** The API and the database both judge, and have to agree. */
  async function listedIn(name: string): Promise<string[]> {
    const listed = [...(await unitsOf(name)).keys()].sort();
    expect(within(name, await pulp.listed())).toEqual(listed);
    return listed;
  }

  const within = (name: string, found: ReadonlySet<string>) =>
    [...found]
      .flatMap((each) => {
        const [repository, digest = ''] = each.split('@');
        return repository === name ? [digest] : [];
      })
      .sort();
  const digests = (...contents: Content[]) => contents.map(({ digest }) => digest).sort();
  const unit = (units: ReadonlyMap<string, string>, { digest }: Content) => units.get(digest) ?? '';

  it('stores what is pushed under a tag, and its judge sees manifests and tags', async () => {
    const [child, single] = [image('stored child'), image('stored')];
    const list = index([child]);
    await push(pulp, 'test/stored', list, 'list');
    await push(pulp, 'test/stored', single, 'single');
    expect(await listedIn('test/stored')).toEqual(digests(child, list, single));
    expect((await pulp.tags()).get('test/stored:list')).toBe(list.digest);
  });

  it('has what was pushed by digest alone in no version, though it can be pulled', async () => {
    const subject = image('described');
    const report = referrer('report', subject);
    await push(pulp, 'test/described', subject, 'latest');
    await push(pulp, 'test/described', report);
    await pulp.settled();
    expect(await listedIn('test/described')).toEqual([subject.digest]);
    expect(within('test/described', await pulp.pending())).toEqual([report.digest]);
    expect(within('test/described', await pulp.manifests())).toEqual(digests(subject, report));
    expect(await headOf('test/described', report.digest)).toBe(200);
  });

  it('keeps a manifest in its list whose tag moved', async () => {
    const [before, after] = [image('moved 1'), image('moved 2')];
    await push(pulp, 'test/moved', before, 'latest');
    await push(pulp, 'test/moved', after, 'latest');
    expect(await listedIn('test/moved')).toEqual(digests(before, after));
    expect((await pulp.tags()).get('test/moved:latest')).toBe(after.digest);
  });

  it('does nothing when a child of an index that stays is removed, and says that it did', async () => {
    const child = image('kept child');
    const list = index([child]);
    await push(pulp, 'test/kept', list, 'latest');
    await change('test/kept', 'remove', unit(await unitsOf('test/kept'), child));
    expect(await listedIn('test/kept')).toEqual(digests(child, list));
    expect((await at('DELETE', `/v2/test/kept/manifests/${child.digest}`)).status).toBe(202);
    await pulp.settled();
    expect(await listedIn('test/kept')).toEqual(digests(child, list));
  });

  it('removes the children of an index with it, except what a tag or another index names, and adds it back', async () => {
    const [lone, tagged, shared] = [image('lone'), image('tagged'), image('shared')];
    const stale = index([lone, tagged, shared]);
    const live = index([shared], { annotations: { which: 'live' } });
    await push(pulp, 'test/removed', stale, 'latest');
    await push(pulp, 'test/removed', tagged, 'v1');
    await push(pulp, 'test/removed', live, 'latest');
    const all = digests(lone, tagged, shared, stale, live);
    expect(await listedIn('test/removed')).toEqual(all);
    const units = await unitsOf('test/removed');
    await change('test/removed', 'remove', unit(units, stale));
    expect(await listedIn('test/removed')).toEqual(digests(tagged, shared, live));
    expect(await headOf('test/removed', stale.digest)).toBe(404);
    expect(await headOf('test/removed', lone.digest)).toBe(404);
    await change('test/removed', 'add', unit(units, stale));
    expect(await listedIn('test/removed')).toEqual(all);
    expect(await headOf('test/removed', stale.digest)).toBe(200);
  });

  it('keeps a tagged manifest silently when it is removed, and deletes it with its tag on /v2', async () => {
    const content = image('still tagged');
    await push(pulp, 'test/tagged', image('neighbour'), 'other');
    await push(pulp, 'test/tagged', content, 'latest');
    await change('test/tagged', 'remove', unit(await unitsOf('test/tagged'), content));
    expect(await listedIn('test/tagged')).toEqual(digests(image('neighbour'), content));
    expect((await at('DELETE', `/v2/test/tagged/manifests/${content.digest}`)).status).toBe(202);
    await pulp.settled();
    expect(await listedIn('test/tagged')).toEqual([image('neighbour').digest]);
    expect([...(await pulp.tags()).keys()].filter((tag) => tag.startsWith('test/tagged'))).toEqual([
      'test/tagged:other',
    ]);
  });

  it('serves every blob of what it has', async () => {
    const list = index([image('served 1'), image('served 2')]);
    await push(pulp, 'test/served', list, 'latest');
    expect(await pullWhole(pulp, 'test/served', 'latest')).toEqual([]);
  });

  it('leaves nothing behind when it can not start', async () => {
    const left = await leftovers(async () => {
      await expect(startPulp({ ...present(program), bin: '/nowhere' })).rejects.toThrow(
        /did not start/,
      );
    });
    expect(left).toEqual([]);
  });
});
