/**
 * Text from a registry, made safe for GitHub's Markdown. Escaping character by character can't stop
 * mentions, autolinks and references (they are found after entities are decoded), so all that isn't a
 * plain word is put in a code span, where nothing is interpreted.
 * Nothing from outside gets into the summary by another way.
 */
import { codeIn, withoutCodes } from './code.js';
import { helpLink } from './pages.js';
import { printable } from './printable.js';

const CODE_LENGTH = 300;
const PROSE_LENGTH = 1_000;

/**
 * Letters, perhaps joined by an apostrophe or a hyphen, or a short number; brackets, quotes and stops
 * around them. No dot, slash, `@`, `#` or colon within: those make links, mentions and references.
 * No `1.` or `1)` either: at the start of a line those make a list.
 */
const PLAIN_WORD = /^(?:[("]?\p{L}+(?:['’-]\p{L}+)*[")]?[,;:.?!]?|\d{1,6}(?:,\d{3})*[,;:?]?)$/u;
const AROUND = /^([("]*)(.*?)([)",;:.?!]*)$/u;
/** As our own sentences write the names of inputs. */
const IN_BACKTICKS = /^`([^`]+)`$/u;
/** Such a name alone, which must not share a code span with its neighbours: it would lose its backticks. */
const SPAN = /^[("]*`[^`]+`[)",;:.?!]*$/u;
/** The code that a message ends with: a span of its own, which nothing before it may swallow. */
const CODE_OF_MESSAGE = /^\[[a-z]+(?:-[a-z]+)*\]$/;
/** The text between backticks is one word, spaces and all. */
const WORD = /(?:`[^`]+`|[^\s`]|`)+/gu;

/**
 * A code span. Backticks and pipes, which could end the span or the table cell around it, become
 * look-alikes: the JSON report has the text as it is.
 */
export function code(text: string, length = CODE_LENGTH): string {
  const inner = inCodeSpan(text, length);
  return inner === '' ? '—' : `\`${inner}\``;
}

/** A code span in a line of HTML, where no Markdown is read: the line that unfolds a table. */
export function htmlCode(text: string, length = CODE_LENGTH): string {
  const inner = inCodeSpan(text, length).replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<code>${inner.replaceAll('>', '&gt;')}</code>`;
}

/** A sentence: plain words stay as they are, all else (names, URLs, digests, markup) goes in code spans. */
export function prose(text: string, length = PROSE_LENGTH): string {
  const pieces: { readonly kind: 'plain' | 'span' | 'other'; readonly text: string }[] = [];
  for (const [word] of printable(text, length).matchAll(WORD)) {
    const kind = PLAIN_WORD.test(word)
      ? 'plain'
      : SPAN.test(word) || CODE_OF_MESSAGE.test(word)
        ? 'span'
        : 'other';
    const last = pieces.at(-1);
    if (kind === 'other' && last?.kind === 'other') {
      pieces[pieces.length - 1] = { kind, text: `${last.text} ${word}` };
    } else {
      pieces.push({ kind, text: word });
    }
  }
  return pieces
    .map((piece) => (piece.kind === 'plain' ? piece.text : wrapped(piece.text)))
    .join(' ');
}

/**
 * A message as `prose`, whose code is a link.
 *
 * @param pages where the docs are, as `pagesOf` gives it
 */
export function linkedMessage(message: string, pages?: string): string {
  const [found, link] = [codeIn(message), helpLink(message, pages)];
  if (found === undefined || link === undefined) {
    return prose(message);
  }
  return `${prose(withoutCodes(message))} [\`${found}\`](${link})`;
}

/** Leaves the punctuation around a word outside its code span, where people expect it. */
function wrapped(text: string): string {
  const [, before = '', inner = '', after = ''] = AROUND.exec(text) ?? [];
  const bare = IN_BACKTICKS.exec(inner)?.[1] ?? inner;
  return inner === '' ? code(text) : `${before}${code(bare, PROSE_LENGTH)}${after}`;
}

/** A label within a Mermaid diagram's quotes; only characters that mean nothing there. */
export function mermaidLabel(text: string, length = 60): string {
  return printable(text, length).replace(/[^A-Za-z0-9._/ ()…-]/g, '?');
}

/** Markdown that stays on one line: a narrow column of it takes no room from a wide one. */
export function unbroken(markdown: string): string {
  return markdown.replaceAll(' ', '\u00a0');
}

/** A row of a table, of cells that are Markdown already. */
export function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |\n`;
}

/** The head of a table; a title that ends in `>` makes a column of numbers, set to the right. */
export function tableHead(titles: readonly string[]): string {
  const bare = titles.map((title) => title.replace(/>$/, ''));
  return row(bare) + row(titles.map((title) => (title.endsWith('>') ? '---:' : '---')));
}

/** A text as a code span shows it: one line, without what would end the span or a table's cell. */
export function inCodeSpan(text: string, length = Number.MAX_SAFE_INTEGER): string {
  return printable(text, length).replaceAll('`', 'ˋ').replaceAll('|', '¦');
}
