/**
 * Keeps what several manifests name once: images of one repository share most layers and all media types, and
 * a descriptor of each its own would be most of what a large run keeps in memory. Pure.
 */
import type { Descriptor, Manifest } from '../oci/manifest.js';

/** A function that gives back the same manifest, made of descriptors that it has given back before. */
export function createSharing(): (manifest: Manifest) => Manifest {
  const texts = new Map<string, string>();
  const descriptors = new Map<string, Descriptor>();

  const text = (value: string): string => {
    const known = texts.get(value);
    if (known === undefined) {
      texts.set(value, value);
    }
    return known ?? value;
  };

  /** Only plain ones: what has a platform, annotations or URLs is an index's child, or rare. */
  const descriptor = (one: Descriptor): Descriptor => {
    const { mediaType, digest, size } = one;
    if (Object.keys(one).length > 3) {
      return one;
    }
    const known = descriptors.get(digest);
    if (known?.mediaType === mediaType && known.size === size) {
      return known;
    }
    const shared = { mediaType: text(mediaType), digest, size };
    descriptors.set(digest, shared);
    return shared;
  };

  return (manifest) => {
    const mediaType = text(manifest.mediaType);
    switch (manifest.kind) {
      case 'image':
        return {
          ...manifest,
          mediaType,
          config: descriptor(manifest.config),
          layers: manifest.layers.map(descriptor),
        };
      case 'index':
        return { ...manifest, mediaType, others: manifest.others.map(descriptor) };
      case 'unknown':
        return { ...manifest, mediaType };
    }
  };
}
