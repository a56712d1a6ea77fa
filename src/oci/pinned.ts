/** References that name a manifest by its digest, as people and tools write them. Pure. */
import { isDigest, type Digest } from './digest.js';
import { isRepository, isTag } from './reference.js';

export type Pinned =
  | { readonly kind: 'manifest'; readonly repository: string; readonly digest: Digest }
  /** `note` says why, where there is more to say than 'no format explains it' */
  | { readonly kind: 'unknown'; readonly note?: string };

const UNKNOWN: Pinned = { kind: 'unknown' };
const COMMENT = /\s#/;

/** Hosts are compared without regard to case and to the ports that a scheme implies. */
function normalHost(host: string): string {
  return host.toLowerCase().replace(/:(?:443|80)$/, '');
}

/**
 * `[scheme://][host/]repository[:tag]@digest`. The first of several components is a host where Docker
 * takes it for one (distribution/reference, splitDockerDomain): it holds a dot, a colon or a capital, or
 * is `localhost`. So `my.team/app@…` belongs to a registry called `my.team`, and not to ours: taking
 * another registry's digest for ours is the worse mistake. With our host in front it is unambiguous.
 */
export function parsePinned(line: string, registryHost: string): Pinned {
  const reference = (line.split(COMMENT, 1)[0] ?? '').trimEnd();
  const at = reference.lastIndexOf('@');
  const whole = reference.slice(0, at);
  const digest = reference.slice(at + 1);
  if (!isDigest(digest) || /\s/.test(whole)) {
    return UNKNOWN;
  }
  const bare = whole.replace(/^https?:\/\//i, '');
  const slash = bare.indexOf('/');
  const first = slash < 0 ? '' : bare.slice(0, slash);
  const ours = first !== '' && normalHost(first) === normalHost(registryHost);
  const named = ours ? bare.slice(slash + 1) : bare;
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const repository = colon < 0 ? named : named.slice(0, colon);
  if (!ours && (bare !== whole || /[.:A-Z]/.test(first) || first === 'localhost')) {
    return {
      kind: 'unknown',
      note:
        isRepository(repository) && bare === whole
          ? `another registry; if not, put ${registryHost}/ in front`
          : 'another registry',
    };
  }
  if (!isRepository(repository) || (colon >= 0 && !isTag(named.slice(colon + 1)))) {
    return UNKNOWN;
  }
  return { kind: 'manifest', repository, digest };
}
