/**
 * The check of every name that becomes a part of an address that deletes, untags or restores. Without the last part the
 * address is often that of something larger: Gitea, GitHub and ACR then delete a whole package or repository.
 */
import { RegistryError } from './registry-error.js';

/**
 * @param what the kind of name, as in "the digest"
 * @returns the name
 * @throws RegistryError when it isn't such a name: the request must not be sent then
 */
export function guarded<T extends string>(
  what: string,
  name: T,
  isName: (name: string) => boolean,
): T {
  if (!isName(name)) {
    // Not quoted: it may be anything. The message around it says which manifest was meant.
    throw new RegistryError(
      'unexpected',
      `the ${what} that a request was to name is empty or malformed: nothing was sent`,
    );
  }
  return name;
}
