import { describe, expect, it } from '@jest/globals';

import { readNotification } from '../../../src/run/candidates/notification.js';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../../src/oci/media-types.js';
import { digest } from '../../support/builders/candidates.js';

const A = digest('a');
const B = digest('b');
const repository = 'team/app';
const manifestA = { repository, digest: A };

function event(action: string, target: object) {
  return { id: '1', action, target: { repository, ...target }, request: {}, actor: {}, source: {} };
}

describe('readNotification', () => {
  it.each([OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])('takes %s', (mediaType) => {
    expect(readNotification(event('push', { mediaType, digest: A }))).toEqual({
      manifests: [manifestA],
      complete: true,
    });
  });

  it.each(['push', 'pull'])('takes a %s without a media type', (action) => {
    expect(readNotification(event(action, { digest: A }))?.manifests).toEqual([manifestA]);
  });

  it.each([
    ['a blob', event('push', { mediaType: 'application/octet-stream', digest: A })],
    ['a mounted blob', event('mount', { digest: A, fromRepository: 'other' })],
    [
      'a layer',
      event('pull', { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: A }),
    ],
    [
      'a schema 1 manifest',
      event('pull', {
        mediaType: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
        digest: A,
      }),
    ],
    ['a manifest or blob that no longer exists', event('delete', { digest: A })],
    ['a tag that no longer exists', event('delete', { tag: 'v1' })],
    ['an envelope without events', { events: [] }],
  ])('understands %s, which names no manifest', (_, value) => {
    expect(readNotification(value)).toEqual({ manifests: [], complete: true });
  });

  it('takes the references that are manifests', () => {
    const references = [
      { mediaType: OCI_MANIFEST, digest: B, size: 1 },
      { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest('c'), size: 1 },
      { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: digest('d'), size: 1 },
    ];
    const value = event('push', { mediaType: OCI_INDEX, digest: A, references });
    expect(readNotification(value)?.manifests).toEqual([manifestA, { repository, digest: B }]);
  });

  it('reads all events of an envelope', () => {
    const value = { events: [event('push', { digest: A }), event('push', { digest: B })] };
    expect(readNotification(value)).toEqual({
      manifests: [manifestA, { repository, digest: B }],
      complete: true,
    });
  });

  it.each([
    ['repository', { repository: '../app', digest: B }],
    ['digest', { digest: 'sha256:short' }],
    ['references', { mediaType: OCI_INDEX, digest: 7 }],
  ])('reports a malformed %s, and takes the other events', (_, target) => {
    const value = { events: [event('push', target), event('push', { digest: A })] };
    expect(readNotification(value)).toEqual({ manifests: [manifestA], complete: false });
  });

  it.each([null, 1, 'text', [], {}, { events: {} }, [1], { target: {} }, { action: 'push' }])(
    '%j is not a notification',
    (value) => {
      expect(readNotification(value)).toBeUndefined();
    },
  );
});
