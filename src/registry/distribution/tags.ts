/** The tags of a repository (distribution-spec, "Listing Tags"). Only reads. */
import * as v from 'valibot';

import { isDigest } from '../../oci/digest.js';
import { isTag } from '../../oci/reference.js';
import { RegistryError } from '../registry-error.js';
import { scopeOf, type Client } from './client.js';
import { jsonOf, NAME_VALUES, saysUnknown } from './errors.js';

// The field has to be there, null or not: JSON without it is some other answer, and no empty list.
const TagsBody = v.object({ tags: v.nullable(v.array(v.string())) });

/** Sorted, each once. Empty for a repository that the registry doesn't know: one without tags looks the same. */
export async function listTags(client: Client, repository: string): Promise<string[]> {
  const doing = { what: `list the tags of ${repository}`, scope: scopeOf(repository, 'pull') };
  const names = await client.pages(`${repository}/tags/list`, doing, (response, page) => {
    client.expectFresh(response, doing.what);
    // A repository whose manifests never had a tag is unknown to tags/list, though not to the catalog.
    if (page === 1 && saysUnknown(response)) {
      return [];
    }
    const body = response.status === 200 ? jsonOf(TagsBody, response, NAME_VALUES) : undefined;
    return body && (body.tags ?? []);
  });
  // A digest in the list is seen of some registries (skopeo#2542). It can be read as one, and is kept.
  const impossible = names.find((name) => !isTag(name) && !isDigest(name));
  if (impossible !== undefined) {
    throw new RegistryError(
      'unexpected',
      `the list of tags of ${repository} holds the name "${client.quote(impossible)}", which the OCI spec does not allow, ` +
        'and what such a tag keeps alive cannot be read. Remove that tag in the registry, or leave the repository ' +
        'out with `repositories`',
    );
  }
  return [...new Set(names)].sort();
}
