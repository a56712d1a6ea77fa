/**
 * The ways in which servers repeat what they were shown: as it is, in a URL, in HTML, in JSON, in base64 and in hex.
 * Pure.
 */

/**
 * Base64 and hex of what is shorter are found in ordinary text and in digests by chance: `7077` is the hex of `pw`. So a
 * secret of fewer than four bytes has none of them, and is taken out of texts only as it is.
 */
const SHORTEST = 8;

/** @returns `secret` and every usual spelling of it, each once; none for an empty one */
export function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret, 'utf8');
  const hex = bytes.toString('hex');
  const encoded = [
    ...[0, 1, 2].flatMap((offset) => base64Within(bytes, offset)),
    ...bothAlphabets(bytes.toString('base64')),
    hex,
    hex.toUpperCase(),
  ];
  const escaped = [
    ...[encodeURIComponent(secret), everyReserved(secret), formEncoded(secret)].flatMap((form) => [
      form,
      form.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    ]),
    JSON.stringify(secret).slice(1, -1),
    // PHP, Go and others, Java and Jinja, XML.
    inHtml(secret, '&quot;', '&#039;'),
    inHtml(secret, '&#34;', '&#39;'),
    inHtml(secret, '&quot;', '&#39;'),
    inHtml(secret, '&quot;', '&#x27;'),
    inHtml(secret, '&quot;', '&apos;'),
    inHtml(secret, '"', "'"),
  ];
  const long = encoded.filter((form) => form.length >= SHORTEST);
  return [...new Set([secret, ...escaped, ...long])].filter((form) => form !== '');
}

/** With padding and without, in the alphabet of base64 and in that of base64url (RFC 4648). */
function bothAlphabets(base64: string): string[] {
  return [base64, base64.replaceAll('+', '-').replaceAll('/', '_')].flatMap((form) => [
    form,
    form.replace(/=+$/, ''),
  ]);
}

/** The part of a longer text's base64 that depends on `bytes` alone, which begin `offset` bytes into three. */
function base64Within(bytes: Buffer, offset: number): string[] {
  const whole = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64url');
  const first = Math.ceil((offset * 8) / 6);
  const end = Math.floor(((offset + bytes.length) * 8) / 6);
  return bothAlphabets(whole.slice(first, end).replaceAll('-', '+').replaceAll('_', '/'));
}

function everyReserved(secret: string): string {
  return encodeURIComponent(secret).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function formEncoded(secret: string): string {
  return new URLSearchParams({ '': secret }).toString().slice(1);
}

function inHtml(secret: string, double: string, single: string): string {
  return secret
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', double)
    .replaceAll("'", single);
}

/** A text whose escapes are undone, and where each of its UTF-16 units came from in the text as it was. */
interface Undone {
  readonly text: string;
  /** by unit: where its spelling starts; one more entry for the end */
  readonly starts: readonly number[];
}

const NAMED: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
};
/** In a URL one character at a time, since text that isn't UTF-8 may stand beside one that is. */
const ESCAPE =
  /((?:%[cd][0-9a-f]|%e[0-9a-f]%[89ab][0-9a-f]|%f[0-7](?:%[89ab][0-9a-f]){2})%[89ab][0-9a-f]|%[0-9a-f]{2})|&(?:#x0*([0-9a-f]{1,6})|#0*([0-9]{1,7})|(amp|lt|gt|quot|apos|nbsp));?|\\(?:u([0-9a-f]{4})|u\{0*([0-9a-f]{1,6})\}|x([0-9a-f]{2})|(["'\\/]))/gi;

/**
 * Undoes what URLs, HTML and JSON escape, in any mixture, once: escapes that come out of it are left.
 *
 * @param kinds those that are undone, separated by spaces. Another escape may be part of a secret, such as `%aa`
 * @returns undefined when there is nothing to undo
 */
export function undoEscapes(text: string, kinds = 'url html json'): Undone | undefined {
  let from = 0;
  let undone = '';
  const starts: number[] = [];
  const push = (piece: string, startOf: (unit: number) => number) => {
    for (let unit = 0; unit < piece.length; unit += 1) {
      starts.push(startOf(unit));
    }
    undone += piece;
  };
  const pushUntil = (end?: number) => {
    const start = from;
    push(text.slice(start, end), (unit) => start + unit);
  };
  for (const match of text.matchAll(ESCAPE)) {
    const [all, percents, hex, decimal, name = '', u4, u6, x2, plain] = match;
    const kind = percents !== undefined ? 'url' : all.startsWith('&') ? 'html' : 'json';
    if (kinds.includes(kind)) {
      const bytes = percents && Buffer.from(percents.replaceAll('%', ''), 'hex').toString();
      const named = plain ?? NAMED[name.toLowerCase()];
      pushUntil(match.index);
      push(bytes ?? named ?? character(hex ?? u4 ?? u6 ?? x2, decimal), () => match.index);
      from = match.index + all.length;
    }
  }
  if (from === 0) {
    return undefined;
  }
  pushUntil();
  return { text: undone, starts: [...starts, text.length] };
}

function character(hex: string | undefined, decimal: string | undefined): string {
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  return code > 0x10ffff ? '\ufffd' : String.fromCodePoint(code);
}
