/**
 * Keeps secrets out of what people read. Every URL and every piece of a server's text that enters a
 * message or a log passes through here first.
 */
import { inCodeSpan } from '../text/markdown.js';
import { printable } from '../text/printable.js';
import { spellings, undoEscapes } from './spellings.js';

/** Query parameters whose values say what was asked for. All others may be signatures or tokens. */
const HARMLESS = new Set(['n', 'last', 'scope', 'service', 'digest', 'artifactType']);

const MASK = '***';

/** The URL without user, password and fragment, with the values of unknown query parameters masked. */
export function redactUrl(url: URL): string {
  const query = [...url.searchParams].map(
    ([name, value]) => `${encodeURIComponent(name)}=${HARMLESS.has(name) ? readable(value) : MASK}`,
  );
  return `${url.protocol}//${url.host}${url.pathname}${query.length > 0 ? `?${query.join('&')}` : ''}`;
}

/** Scopes and digests are full of `:` and `/`, which a query may hold as they are (RFC 3986 sec. 3.4). */
function readable(value: string): string {
  return encodeURIComponent(value).replace(/%3A|%2F|%2C/g, decodeURIComponent);
}

/** The secrets of this run, and a way to take them out of any text. */
interface SecretStore {
  add(secret: string): void;
  /** `text` with each known secret replaced by `***`, however it is spelled: see spellings.ts. */
  redact(text: string): string;
}

/** Spellings are found by their first characters, which thousands of tokens have in common. */
const HEAD = 6;
const MIXTURES = ['url html json', 'url html', 'url json', 'html json', 'url', 'html', 'json'];
/** A text may be escaped, and then escaped once more as part of another. */
const MOST_UNDONE = 3;

type Span = readonly [start: number, end: number];

export function createSecretStore(): SecretStore {
  const byHead = new Map<string, Set<string>>();

  function* spansIn(text: string): Generator<Span> {
    for (const [head, forms] of byHead) {
      for (let at = text.indexOf(head); at !== -1; at = text.indexOf(head, at + 1)) {
        for (const form of forms) {
          if (text.startsWith(form, at)) {
            yield [at, at + form.length];
          }
        }
      }
    }
  }

  /** The secrets that the text has in escapes of these kinds. */
  function* spansBehind(text: string, kinds: string): Generator<Span> {
    let starts: readonly number[] | undefined;
    let inner = text;
    for (let n = 0; n < MOST_UNDONE; n += 1) {
      const undone = undoEscapes(inner, kinds);
      if (undone === undefined) {
        return;
      }
      const outer = starts;
      starts = undone.starts.map((start) => outer?.[start] ?? start);
      inner = undone.text;
      for (const [start, end] of spansIn(inner)) {
        yield [starts[start] ?? 0, starts[end] ?? text.length];
      }
    }
  }

  return {
    add(secret) {
      // Printed in a message, and in a code span of the summary, it may have changed.
      const shown = new Set([secret, printable(secret), inCodeSpan(secret)]);
      for (const form of [...shown].flatMap(spellings)) {
        const head = form.slice(0, HEAD);
        const forms = byHead.get(head) ?? new Set();
        byHead.set(head, forms.add(form));
      }
    },
    redact(text) {
      if (byHead.size === 0) {
        return text;
      }
      const spans = [...spansIn(text)];
      if (undoEscapes(text) !== undefined) {
        MIXTURES.forEach((kinds) => spans.push(...spansBehind(text, kinds)));
      }
      return masked(text, spans);
    },
  };
}

/** Spans that overlap are masked as one: a secret that is part of another must not leave the rest of it standing. */
function masked(text: string, spans: readonly Span[]): string {
  let done = 0;
  let open: { start: number; end: number } | undefined;
  let result = '';
  const close = () => {
    if (open !== undefined) {
      result += text.slice(done, open.start) + MASK;
      done = open.end;
    }
  };
  for (const [start, end] of [...spans].sort((a, b) => a[0] - b[0])) {
    if (open !== undefined && start < open.end) {
      open.end = Math.max(open.end, end);
    } else {
      close();
      open = { start, end };
    }
  }
  close();
  return result + text.slice(done);
}
