/**
 * Keeps one descriptor for all manifests that name the same blob. Images of one repository share most layers and all
 * media types, and separate copies would be most of the memory of a large run. Pure.
 */
import type { Descriptor, Manifest } from '../oci/manifest.js';

/** Returns a function that returns an equal manifest, made of descriptors that it has returned before. */
export function createSharing(): (manifest: Manifest) => Manifest {
  const texts = new Map<string, string>();
  const descriptors = new Map<string, Descriptor>();

  const text = (value: string): string => {
    const known = texts.get(value) ?? value;
    texts.set(known, known);
    return known;
  };

  /** Shares plain descriptors only: one with a platform, annotations or URLs is an index's child, or rare. */
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
    const shared = { ...manifest, mediaType: text(manifest.mediaType) };
    if (shared.kind === 'image') {
      const layers = shared.layers.map(descriptor);
      return { ...shared, config: descriptor(shared.config), layers };
    }
    return shared.kind === 'index' ? { ...shared, others: shared.others.map(descriptor) } : shared;
  };
}
