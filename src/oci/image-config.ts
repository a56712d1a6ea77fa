/** The facts in an image's config (image-spec config.md): when it was built, and for which platform. */
import * as v from 'valibot';

import { checkJson, inForm, tryJson, lenient } from './json.js';
import { Labels, type Version } from './labels.js';
import type { Platform } from './manifest.js';

export interface ImageFacts {
  /** epoch milliseconds; absent when the config has no usable `created` */
  readonly created?: number;
  readonly platform?: Platform;
  /** by its labels; absent when they have neither */
  readonly labels?: Version;
}

const text = v.fallback(v.optional(v.string()), undefined);
const ConfigSchema = v.object({
  created: text,
  architecture: text,
  os: text,
  variant: text,
  config: v.fallback(v.optional(v.object({ Labels: lenient(Labels) })), undefined),
});

/** History and labels of the largest images have a few thousand. */
const MOST_VALUES = 150_000;

/**
 * A config that isn't one proves nothing. `created` is the time of the build, not of the
 * push, and 1970 in reproducible builds, so it can only show that an image is young, never that it's old.
 *
 * @throws JsonLimitError when it holds more than any config does
 */
export function factsOf(bytes: Uint8Array): ImageFacts {
  checkJson(bytes, MOST_VALUES);
  const body = tryJson(new TextDecoder().decode(bytes));
  const { created, architecture, os, variant, config } = inForm(ConfigSchema, body) ?? {};
  const time = created === undefined ? Number.NaN : Date.parse(created);
  const labels = config?.Labels;
  const isForOne = os !== undefined && architecture !== undefined;
  return {
    created: Number.isNaN(time) ? undefined : time,
    platform: isForOne ? { os, architecture, variant } : undefined,
    ...(labels && { labels }),
  };
}
