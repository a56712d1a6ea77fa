/** The version of an image, as its builder wrote it into annotations and labels (image-spec annotations.md). */
import * as v from 'valibot';

import { lenient } from './json.js';

/** What the one who built an image says of it. Shown, and nothing else. */
export interface Version {
  readonly version?: string;
  readonly revision?: string;
}

const Label = lenient(v.pipe(v.string(), v.minLength(1), v.maxLength(100)));

/** Of annotations, and of a config's labels (image-spec annotations.md). */
export const Labels = v.pipe(
  v.object({
    'org.opencontainers.image.version': Label,
    'org.opencontainers.image.revision': Label,
  }),
  v.transform((all): Version | undefined => {
    const version = all['org.opencontainers.image.version'];
    const revision = all['org.opencontainers.image.revision'];
    return version === undefined && revision === undefined
      ? undefined
      : { ...(version !== undefined && { version }), ...(revision !== undefined && { revision }) };
  }),
);
