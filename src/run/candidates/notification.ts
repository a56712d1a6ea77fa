/**
 * Manifests that Distribution's notifications name: `…events.v1+json` of 2.x and `…events.v2+json` of
 * 3.x, which differ in no field that is read here. Pure. Blobs must never become candidates.
 * Format: distribution/notifications/event.go.
 */
import * as v from 'valibot';

import { isDigest, type Digest } from '../../oci/digest.js';
import { inForm } from '../../oci/json.js';
import { isManifestType } from '../../oci/media-types.js';
import { isRepository } from '../../oci/reference.js';

export interface Notified {
  readonly manifests: readonly { readonly repository: string; readonly digest: Digest }[];
  /** false when some event was malformed; what the others name is there all the same */
  readonly complete: boolean;
}

const RepositorySchema = v.pipe(v.string(), v.check(isRepository));
const EventSchema = v.object({
  action: v.string(),
  target: v.object({
    repository: RepositorySchema,
    mediaType: v.nullish(v.string(), ''),
    digest: v.nullish(v.string(), ''),
    references: v.nullish(v.array(v.object({ mediaType: v.string(), digest: v.string() })), []),
  }),
});
const EnvelopeSchema = v.object({ events: v.array(v.unknown()) });
const EventLikeSchema = v.object({ action: v.unknown(), target: v.unknown() });

/** @returns `undefined` when the value is neither an envelope nor an event; the elements of a list come one by one */
export function readNotification(value: unknown): Notified | undefined {
  const isEnvelope = v.is(EnvelopeSchema, value);
  if (!isEnvelope && !v.is(EventLikeSchema, value)) {
    return undefined;
  }
  const manifests: { repository: string; digest: Digest }[] = [];
  let complete = true;
  for (const event of isEnvelope ? value.events : [value]) {
    const parsed = inForm(EventSchema, event);
    if (parsed === undefined) {
      complete = false;
      continue;
    }
    const { repository } = parsed.target;
    const digests = digestsOf(parsed);
    complete &&= digests.every(isDigest);
    manifests.push(...digests.filter(isDigest).map((digest) => ({ repository, digest })));
  }
  return { manifests, complete };
}

/**
 * Events without a media type, as some write them by hand. `mount` is of blobs only; what a `delete` names
 * no longer exists, and may have been a blob.
 */
const MANIFEST_ACTIONS = new Set(['push', 'pull']);

/**
 * Docker schema 1 is left out: it can't be verified, and a pull by an old client reports the digest of a
 * conversion that the registry does not even keep.
 */
function digestsOf({ action, target }: v.InferOutput<typeof EventSchema>): string[] {
  const { mediaType, digest, references } = target;
  const isManifest = mediaType === '' ? MANIFEST_ACTIONS.has(action) : isManifestType(mediaType);
  return [
    ...(isManifest ? [digest] : []),
    ...references.filter((entry) => isManifestType(entry.mediaType)).map((entry) => entry.digest),
  ];
}
