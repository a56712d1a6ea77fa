/**
 * What one line of text says by itself: a reference, a path of the storage, or a line of the garbage
 * collector. Pure; what a line means only together with its neighbours is for transcript.ts.
 */
import { isDigest, type Digest } from '../../oci/digest.js';
import { parsePinned, type Pinned } from '../../oci/pinned.js';
import { isRepository } from '../../oci/reference.js';
import { lastWord, readStoragePath } from './storage-path.js';

export type LineReading =
  /** blank, or a `#` comment */
  | { readonly kind: 'ignored' }
  /** what surrounds any format: a log line, a listing's totals */
  | { readonly kind: 'noise' }
  /** a path of the storage that names no manifest */
  | { readonly kind: 'known' }
  | Pinned
  /**
   * A line of `registry garbage-collect`. Distribution 2 prints what is eligible without its repository:
   * that is the one of the lines before.
   */
  | { readonly kind: 'collector'; readonly repository?: string; readonly digest?: Digest }
  /** a single word: perhaps the collector's heading, or a directory at the top of a listing */
  | { readonly kind: 'word'; readonly path: string; readonly repository?: string };

const UNKNOWN: LineReading = { kind: 'unknown' };

/** What `docker logs --timestamps` and log collectors put in front. */
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)\s+/;
const LOGRUS = /^time="?[^\s"]+"? level=[a-z]+ /;
const LISTING_TOTALS = /^(?:total \d+|TOTAL: \d+ objects?, .*|Total (?:Objects|Size): .*)$/;
/** The columns of `ls -l` and `find -ls`; the name is the last of them. */
const LISTING_ROW = /^(?:\d+\s+\d+\s+)?[-bcdlps][-rwxsStT]{9}[.+@]?\s/;
/** Braces are left to JSON behind a log's words. */
const WORD = /^[^\s{}]{1,1024}$/;
const LONGEST_WORD = 1024;

const MARKING = /^(\S+): marking (manifest|blob) (\S+)$/;
const LAYER_LINK = /^(\S+): layer link eligible for deletion: \S+$/;
/** 3.x prints a Go struct: `{repository digest [tag tag]}`. */
const ELIGIBLE = /^manifest eligible for deletion: (?:\{(\S+) (\S+) \[[^\]]*\]\}|(\S+))$/;
const COLLECTOR_OTHERS =
  /^(?:blob eligible for deletion: \S+|\d+ blobs marked, \d+ blobs and \d+ manifests eligible for deletion|manifest tags path of repository \S+ does not exist)$/;

/**
 * @param text one line without its end
 * @param registryHost `host` or `host:port` of the registry to clean
 */
export function readLine(text: string, registryHost: string): LineReading {
  const line = text.trim().replace(TIMESTAMP, '');
  if (line === '' || line.startsWith('#')) {
    return { kind: 'ignored' };
  }
  if (line.includes('@sha') && !LOGRUS.test(line)) {
    return parsePinned(line, registryHost);
  }
  const path = readStoragePath(line);
  if (path !== undefined) {
    return path.kind === 'malformed'
      ? { kind: 'unknown', note: 'a path of the storage without a valid repository and digest' }
      : path;
  }
  if (LOGRUS.test(line) || LISTING_TOTALS.test(line)) {
    return { kind: 'noise' };
  }
  return readCollector(line) ?? readWord(line);
}

function readWord(line: string): LineReading {
  if (LISTING_ROW.test(line)) {
    const path = lastWord(line);
    return path.length <= LONGEST_WORD ? { kind: 'word', path } : UNKNOWN;
  }
  if (!WORD.test(line)) {
    return UNKNOWN;
  }
  return isRepository(line)
    ? { kind: 'word', path: line, repository: line }
    : { kind: 'word', path: line.replace(/:$/, '') };
}

/** Format: distribution/registry/storage/garbagecollect.go, as 2.8.2 and 3.1.1 print it. */
function readCollector(line: string): LineReading | undefined {
  const marking = MARKING.exec(line);
  if (marking !== null) {
    const [, repository, what, digest] = marking;
    const manifest = collected(repository, digest);
    return what === 'manifest' || manifest.kind === 'unknown' ? manifest : collected(repository);
  }
  const eligible = ELIGIBLE.exec(line);
  if (eligible !== null) {
    const [, repository, named, alone] = eligible;
    return collected(repository, named ?? alone);
  }
  return LAYER_LINK.test(line) || COLLECTOR_OTHERS.test(line) ? { kind: 'collector' } : undefined;
}

function collected(repository?: string, digest?: string): LineReading {
  const isValid = repository === undefined || isRepository(repository);
  return isValid && (digest === undefined || isDigest(digest))
    ? { kind: 'collector', repository, digest }
    : UNKNOWN;
}
