/**
 * The port: what the rest of the program knows of a registry. Interfaces only. An optional field is an optional
 * ability, and nothing outside this folder asks which family a registry belongs to.
 *
 * Names that go in must have passed `isRepository`, `isTag` or `isDigest`. Unless it says otherwise, every function
 * rejects with RequestFailure (RegistryError when there was an answer), whose message is safe to print.
 */
import type { IncomingHttpHeaders } from 'node:http';

import type { Clock } from '../http/clock.js';
import type { Grant } from '../http/grant.js';
import type { Send } from '../http/message.js';
import type { Quota } from '../http/quota.js';
import type { Digest } from '../oci/digest.js';
import type { ImageFacts } from '../oci/image-config.js';
import type { ImageManifest, Manifest } from '../oci/manifest.js';
import type { Printable } from '../text/printable.js';

export interface Registry {
  /** as messages name it, such as `Google Artifact Registry` */
  readonly family: string;
  readonly reader: Reader;
  readonly deleter: Deleter;
  readonly pusher: Pusher;
  readonly rights: Rights;
  readonly advice: Advice;
  repositories(): Promise<Catalog>;
  /** absent: untagged manifests must be remembered, which is the ledger's work */
  readonly lister?: Lister;
  /** absent: a tag can only go with its manifest */
  readonly untagger?: Untagger;
  /** the server's own undo; absent: what was deleted is pushed again */
  readonly restorer?: Restorer;
  /** absent: the blobs of a deleted manifest stay until the registry's garbage is collected */
  readonly parking?: Parking;
  /** absent: the server doesn't tell */
  readonly budget?: Budget;
  /** what people have to know of this server for every run: coded, and safe to print */
  readonly warnings?: readonly string[];
}

/** Sends GET and HEAD only. Checks names, sizes and digests; decides nothing. */
export interface Reader {
  /**
   * Finds out whether this is a registry at all, and how it authenticates.
   *
   * @returns the registry's time in epoch milliseconds, where it says so
   */
  ping(): Promise<number | undefined>;
  /** Empty for a repository that the registry doesn't know: one without tags looks the same. */
  tags(repository: string): Promise<string[]>;
  /**
   * One GET; the manifest's digest is computed from its bytes and agrees with all that was said of it. Where
   * nothing is said of a tag's digest, a HEAD besides.
   */
  manifest(repository: string, reference: string): Promise<ManifestAnswer>;
  /**
   * One HEAD. `undefined` when the answer alone does not settle it (no digest header, or a 404, which
   * without a body doesn't say what is unknown): ask with `manifest`.
   */
  resolve(repository: string, reference: string): Promise<Digest | undefined>;
  /**
   * Whether a manifest is there, past all caches. The answer to a DELETE proves nothing: registries were seen to
   * answer 202 and do nothing (distribution#1349), and to hide missing rights behind a 404.
   */
  isThere(repository: string, digest: Digest): Promise<boolean>;
  /**
   * The manifests that the registry lists as referrers of this one. `undefined` when it answers as one does that has
   * no referrers API, and none of this reader's questions has shown that it has.
   */
  referrers(repository: string, digest: Digest): Promise<readonly Digest[] | undefined>;
  /**
   * One GET; the bytes have this digest. `undefined` when the registry says that it has no such blob.
   *
   * @param maxBytes a larger blob is not read: the promise rejects
   */
  blob(repository: string, digest: Digest, maxBytes: number): Promise<Buffer | undefined>;
  /** One HEAD. False for any 404 that isn't a web page: an answer to HEAD has no body that could say more. */
  hasBlob(repository: string, digest: Digest): Promise<boolean>;
  /** The facts in an image's config; empty when it is missing or isn't a config. */
  imageFacts(repository: string, manifest: ImageManifest): Promise<ImageFacts>;
}

export type ManifestAnswer =
  | {
      readonly kind: 'found';
      readonly manifest: Manifest;
      /** its bytes as text: encoded as UTF-8 they have the manifest's digest */
      readonly body: string;
      /** when the answer's Content-Type did not tell what it is */
      readonly isUntyped?: true;
    }
  /** the registry says that it has no such manifest */
  | { readonly kind: 'absent' };

export interface Deleter {
  /**
   * Milliseconds from the beginning of one recheck to that of the next, where one costs too many requests for the usual
   * ten seconds after its end. A pace of deletes then has time for the recheck within its minute.
   */
  readonly recheckEvery?: number;
  /**
   * A delete of an index also deletes each child image that no tag and no other listed index names. So an index stays as
   * long as such a child does.
   */
  readonly takesChildren?: true;
  /**
   * The registry's answer; whether the manifest is gone, only a read can tell. `gone` when the registry
   * says that it has no such manifest (any more).
   */
  deleteManifest(
    repository: string,
    digest: Digest,
    options?: DeleteOptions,
  ): Promise<'deleted' | 'gone'>;
}

export interface WriteOptions {
  /** asked before each try: once it is true none is sent, and the promise rejects with TooLate or the failure before */
  readonly isLate?: () => boolean;
}

export interface DeleteOptions extends WriteOptions {
  /** the tags that point at it, and go with it: a family that can't delete tagged manifests removes them first */
  readonly tags?: readonly string[];
  /** continues "the registry refused to …" in messages; default: to delete this manifest, by its name */
  readonly what?: string;
  /**
   * The repository was just read, so an answer that there is none (NAME_UNKNOWN) says something else: that the account
   * has no rights there, most likely. The promise rejects with a RegistryError of the kind `hidden`.
   */
  readonly isHere?: true;
}

export interface Pusher {
  /** @returns the digest that the bytes are stored under */
  pushBlob(repository: string, bytes: Buffer): Promise<Digest>;
  /**
   * Everything that the manifest names has to be there. A tag that exists moves.
   *
   * @param reference a tag, or the manifest's digest
   */
  pushManifest(
    repository: string,
    reference: string,
    manifest: { readonly mediaType: string; readonly bytes: Buffer },
    options?: WriteOptions,
  ): Promise<void>;
}

/** Whether deletes would be taken, found out before the first change. */
export interface Rights {
  /**
   * All that can be known without a write.
   *
   * @returns why these credentials can't delete there; `undefined` when they can, or nobody says. Safe to print
   */
  lacksDelete(repository: string): Promise<string | undefined>;
  /**
   * Sends a DELETE for a digest that no manifest has.
   *
   * @param repositories that were read, and in which something is to be deleted
   * @returns why the registry takes no deletes; `undefined` when it does, or did not say
   */
  probeDeletes(repositories: readonly string[]): Promise<string | undefined>;
}

/** The advice for people, in this family's words. */
export interface Advice {
  /** after "Deleting is switched off there: ", plain text */
  readonly allowDeletes: string;
  /** how the disk space of deleted manifests comes back, in Markdown, after a sentence that says whose */
  readonly freeDisk: string;
  /** until when something broken can be restored, in Markdown */
  readonly keepBlobs: string;
  /** ends the sentence that begins "A run with `restore-from` restores the manifests, " */
  readonly restore: string;
}

export interface Catalog {
  readonly repositories: readonly string[];
  /** how many names were dropped because the spec's grammar does not allow them */
  readonly unnameable: number;
  /** The registry has more, which nobody can list. */
  readonly isPartial?: true;
}

/** The family's own list of a repository's manifests, tagged or not. */
export interface Lister {
  /** Whether this list tells that a manifest is gone, and not a read by its digest. */
  readonly confirmsDeletes?: true;
  /**
   * The manifests that the list may lack although the registry serves them. `digest-pushes`: those that were pushed by
   * their digest and that no pushed tag has taken in since, as most referrers are. Absent: it lacks none.
   */
  readonly lacks?: 'digest-pushes';
  /**
   * Complete but for what it `lacks`, or it rejects. Empty for a repository that the registry doesn't know, unless that looks like one that the
   * account may not see: then it rejects.
   */
  manifests(repository: string): Promise<Listing>;
  /**
   * The manifests that were deleted here, as far as the server remembers them: some may be missing, and it never rejects.
   * Absent: it doesn't tell.
   */
  former?(repository: string): Promise<ReadonlySet<Digest>>;
}

export type Listing = ReadonlyMap<Digest, Listed>;

export interface Listed {
  readonly tags: readonly string[];
  /** epoch milliseconds */
  readonly pushedAt?: number;
  /** epoch milliseconds of the last change, such as a tag that came or went; absent where the registry doesn't tell */
  readonly changedAt?: number;
  /** the server's own name for it, which a restore needs */
  readonly id?: string;
}

export interface Untagger {
  /** Removes a tag and leaves its manifest. Nothing is done where the tag does not point at this digest any more. */
  untag(repository: string, tag: string, digest: Digest, options?: WriteOptions): Promise<void>;
}

export interface Restorer {
  /** milliseconds after a delete in which the server restores; absent where no fixed time ends it */
  readonly window?: number;
  /** Whether the server can still restore the deleted manifest with this id. */
  isRestorable(repository: string, id: string): Promise<boolean>;
  /** Brings back what was deleted by the server's own means. Whether its tags come with it is the server's choice. */
  restore(repository: string, id: string): Promise<void>;
}

/** For a registry that frees the blobs of a manifest with it: they are kept there before the delete. */
export interface Parking {
  /** milliseconds after the first time that a blob was parked; then the server may free it */
  readonly window: number;
  /**
   * Makes the repository keep a blob when the manifests that name it are deleted. A push of such a manifest then works
   * as before.
   *
   * @throws RequestFailure also where the server refuses that: the delete is then final
   */
  park(repository: string, blob: Digest): Promise<void>;
}

export interface Budget {
  /**
   * `deletes`: how many more the server's quota allows in this repository, after what a run needs to end in good order;
   * 0 or more. `until`: epoch milliseconds at which the next window of the quota begins. `undefined` before the server
   * told.
   */
  left(repository: string): { readonly deletes: number; readonly until: number } | undefined;
}

/** The way to the registry that a family uses. */
export interface Connection {
  readonly send: Send;
  /** scheme, host and port of the registry */
  readonly base: URL;
  /** where the family's own API is; absent: where it is by default */
  readonly api?: URL;
  /** makes text of the registry safe to print */
  readonly quote: (text: string) => Printable;
  /** what a token would grant, without a request that changes anything */
  readonly granted: (scope: string) => Promise<Grant>;
  /** the Authorization header of the user's name and password, for the family's own API; absent without them */
  readonly basic?: string;
  /** what the last answer of this host said of its quota */
  readonly quota: (host: string) => Quota | undefined;
  readonly clock: Clock;
  /** the token for the API of GitHub, and for nothing else */
  readonly githubToken?: string;
  /** the first components of the names that the user asks for, where patterns name them */
  readonly namespaces: readonly string[];
}

/** A kind of registry with its own API. */
export interface Family {
  /** the value of the input `registry-type` */
  readonly name: string;
  /** whether it has an API of its own, which `api-url` may name */
  readonly hasApi: boolean;
  /**
   * It is the registry of the GitHub that runs the workflow. The job's token logs in to it, the workflow's repository
   * is the one that is cleaned by default, and capitals in names mean nothing.
   */
  readonly isOfGitHub?: true;
  /** requests in flight where the user doesn't say; default 16 */
  readonly concurrency?: number;
  /** whether a registry at this address belongs to it */
  matches(registry: URL, github: GitHub | undefined): boolean;
  /**
   * For a family whose addresses tell nothing: asks the registry what it is.
   *
   * @param greeting the headers of the registry's first 401: it is only asked where they look like the family's; absent
   *   where the user says that it is of this family
   * @returns the family to open, which may be a variant that FAMILIES doesn't list; `undefined` when it isn't this one, or
   *   doesn't say
   */
  identify?(connection: Connection, greeting?: IncomingHttpHeaders): Promise<Family | undefined>;
  /** where its own API is, unless the user says */
  api?(registry: URL, github: GitHub | undefined): URL | undefined;
  open(connection: Connection): Registry;
}

/** The GitHub that runs the workflow. */
export interface GitHub {
  /** `https://github.com`, or that of GitHub Enterprise Server */
  readonly server: URL;
  /** `https://api.github.com`, or `https://HOST/api/v3` */
  readonly api: URL;
}
