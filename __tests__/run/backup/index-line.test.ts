import { describe, expect, it } from '@jest/globals';

import { indexLine, parseIndexLine, type BackupEntry } from '../../../src/run/backup/index-line.js';
import { digestOf } from '../../../src/oci/digest.js';
import { OCI_INDEX } from '../../../src/oci/media-types.js';

const digest = digestOf(Buffer.from('a manifest'));
const entry: BackupEntry = {
  registry: 'https://registry.example:5000',
  repository: 'team/app',
  digest,
  mediaType: OCI_INDEX,
  tags: ['sha256-x.sig', 'v1'],
  savedAt: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  reason: { kind: 'child', of: digest },
};

describe('a line of the index', () => {
  it('says what a saved manifest was, in words that people can read', () => {
    const line = indexLine(entry);
    expect(line.endsWith('\n')).toBe(true);
    expect(line.trimEnd()).not.toContain('\n');
    expect(JSON.parse(line)).toEqual({
      version: 1,
      ...entry,
      savedAt: '2026-01-02T03:04:05.678Z',
    });
  });

  it('is read back as it was, without the reason', () => {
    const { reason: _, ...rest } = entry;
    const read = { kind: 'entry', entry: rest };
    expect(parseIndexLine(indexLine(entry))).toEqual(read);
    expect(parseIndexLine(`${indexLine(entry).trimEnd()}\r`)).toEqual(read);
  });

  it('holds the id that the server gave the manifest, and is of the same version with it', () => {
    const withId = { ...entry, id: '45763' };
    const line = indexLine(withId);
    expect(JSON.parse(line)).toMatchObject({ version: 1, id: '45763' });
    expect(parseIndexLine(line)).toMatchObject({ kind: 'entry', entry: { digest, id: '45763' } });
    expect(indexLine(entry)).not.toContain('"id"');
  });

  it('is read with fields and reasons of a later version', () => {
    const more = { ...(JSON.parse(indexLine(entry)) as object), reason: 'new', more: [1] };
    expect(parseIndexLine(JSON.stringify(more))).toMatchObject({ entry: { digest } });
  });

  it('is known to be cut off, wherever that is', () => {
    const line = indexLine(entry).trimEnd();
    for (let length = 0; length < line.length; length += 1) {
      expect(parseIndexLine(line.slice(0, length))).toEqual({ kind: 'cut-off' });
    }
  });

  it.each<[string, object]>([
    ['another version', { version: 2 }],
    ['no registry', { registry: undefined }],
    ['a repository that is none', { repository: '../../etc' }],
    ['a repository that is no text', { repository: 1 }],
    ['a digest that is none', { digest: 'sha256:../../../etc/passwd' }],
    ['a digest that can not be computed', { digest: 'blake3:00' }],
    ['a digest that is no text', { digest: 5 }],
    ['a type that would be a header of its own', { mediaType: 'text/html\r\nX-Evil: 1' }],
    ['no type', { mediaType: '' }],
    ['tags that are none', { tags: ['../v1'] }],
    ['tags that are no list', { tags: 'v1' }],
    ["an id that isn't a text", { id: 45763 }],
    ['an empty id', { id: '' }],
    ['an id with a line of its own', { id: '1\r\nX-Evil: 1' }],
    ['an id that nobody sees', { id: '1\u200b' }],
    ['an id of boundless length', { id: '1'.repeat(101) }],
    ['a time that is none', { savedAt: 'yesterday' }],
  ])('is not understood with %s', (_, more) => {
    const parsed = JSON.parse(indexLine(entry)) as object;
    expect(parseIndexLine(JSON.stringify({ ...parsed, ...more }))).toEqual({ kind: 'unknown' });
  });

  it.each(['null', '[]', '"text"', '17', '{}'])(
    'is not understood, and not cut off, when it is %s',
    (text) => {
      expect(parseIndexLine(text)).toEqual({ kind: 'unknown' });
    },
  );
});
