/** What an image's config tells (image-spec config.md): when it was built, and for which platform. */
import * as v from 'valibot';

import type { Platform } from './manifest.js';

export interface ImageFacts {
  /** epoch milliseconds; absent when the config has no usable `created` */
  readonly created?: number;
  readonly platform?: Platform;
}

const text = v.fallback(v.optional(v.string()), undefined);
const ConfigSchema = v.object({ created: text, architecture: text, os: text, variant: text });

/**
 * Never throws: a config that isn't one proves nothing. `created` is the time of the build, not of the
 * push, and 1970 in reproducible builds, so it can only show that an image is young, never that it's old.
 */
export function factsOf(bytes: Uint8Array): ImageFacts {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
  const parsed = v.safeParse(ConfigSchema, body);
  if (!parsed.success) {
    return {};
  }
  const { created, architecture, os, variant } = parsed.output;
  const time = created === undefined ? Number.NaN : Date.parse(created);
  return {
    ...(Number.isNaN(time) ? {} : { created: time }),
    ...(os === undefined || architecture === undefined
      ? {}
      : { platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } }),
  };
}
