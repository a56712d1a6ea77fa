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

/** @returns `undefined` when the value is neither an envelope, nor an event, nor an array of them */
export function readNotification(value: unknown): Notified | undefined {
  const events = eventsOf(value);
  if (events === undefined) {
    return undefined;
  }
  const manifests: { repository: string; digest: Digest }[] = [];
  let complete = true;
  for (const event of events) {
    const parsed = inForm(EventSchema, event);
    if (parsed === undefined) {
      complete = false;
      continue;
    }
    const { repository } = parsed.target;
    for (const digest of digestsOf(parsed)) {
      if (isDigest(digest)) {
        manifests.push({ repository, digest });
      } else {
        complete = false;
      }
    }
  }
  return { manifests, complete };
}

function eventsOf(value: unknown): readonly unknown[] | undefined {
  if (v.is(EnvelopeSchema, value)) {
    return value.events;
  }
  if (Array.isArray(value)) {
    // Not by calling itself: arrays may be nested as deep as memory reaches.
    const nested = value.map((one) => (Array.isArray(one) ? undefined : eventsOf(one)));
    return nested.length > 0 && nested.every((events) => events !== undefined)
      ? nested.flat()
      : undefined;
  }
  return v.is(EventLikeSchema, value) ? [value] : undefined;
}

/**
 * Events without a media type, as some write them by hand. `mount` is of blobs only; what a `delete` names
 * is gone, and may have been a blob all along.
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
