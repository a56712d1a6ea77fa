/**
 * A summary as GitHub shows it: its Markdown as HTML with GitHub's stylesheet and Mermaid's drawings, in a headless
 * Chromium that measures it and takes its picture.
 */
import { marked } from 'marked';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const { resolve } = createRequire(import.meta.url);

/** Chromium makes no narrower window. */
const LEAST_WINDOW = 500;
const MOST_TIME = 60_000;

export interface Measured {
  /** of the whole page with its folds closed, in pixels */
  readonly height: number;
  /** of the tallest row of all tables, with the folds open */
  readonly lines: number;
  /** the text of that row */
  readonly tallest: string;
}

/** The program's name, or nothing where there is none. */
export async function findChromium(): Promise<string | undefined> {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      await run(name, ['--version']);
      return name;
    } catch {
      // The next name.
    }
  }
  return undefined;
}

/**
 * @param width of the page, in pixels
 * @param picture a PNG to write, cut off at a height in pixels
 * @throws when Chromium ends with an error, or draws nothing in time
 */
export async function look(
  chromium: string,
  markdown: string,
  width: number,
  picture?: { readonly file: string; readonly mostHeight: number },
): Promise<Measured> {
  const directory = await mkdtemp(path.join(tmpdir(), 'summary-'));
  try {
    const file = path.join(directory, 'summary.html');
    await writeFile(file, await page(markdown, width));
    const start = (size: string, ...more: string[]) => [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--hide-scrollbars',
      '--allow-file-access-from-files',
      '--virtual-time-budget=10000',
      `--user-data-dir=${path.join(directory, 'profile')}`,
      `--window-size=${size}`,
      ...more,
      pathToFileURL(file).href,
    ];
    const limits = { timeout: MOST_TIME, maxBuffer: 64 * 1024 * 1024 };
    const window = Math.max(width, LEAST_WINDOW);
    const { stdout } = await run(chromium, start(`${String(window)},1000`, '--dump-dom'), limits);
    const found = /data-measured="([^"]*)"/.exec(stdout)?.[1];
    if (found === undefined) {
      throw new Error('the page was not drawn in time');
    }
    const measured = JSON.parse(decodeURIComponent(found)) as Measured;
    if (picture !== undefined) {
      const height = Math.min(measured.height, picture.mostHeight);
      const size = `${String(window)},${String(height)}`;
      await run(chromium, start(size, `--screenshot=${path.resolve(picture.file)}`), limits);
    }
    return measured;
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function page(markdown: string, width: number): Promise<string> {
  const css = await readFile(resolve('github-markdown-css/github-markdown-light.css'), 'utf8');
  const mermaid = pathToFileURL(resolve('mermaid/dist/mermaid.min.js')).href;
  return `<!doctype html>
<meta charset="utf-8">
<style>${css}
body { margin: 0; background: white }
article { box-sizing: border-box; width: ${String(width)}px; padding: 24px }
</style>
<article class="markdown-body">${alerts(await marked(markdown, { gfm: true }))}</article>
<script src="${mermaid}"></script>
<script>(${measure.toString()})()</script>
`;
}

/** The one part of GitHub's Markdown that the renderer lacks. */
function alerts(html: string): string {
  return html.replaceAll(
    /<blockquote>\s*<p>\[!NOTE\]\s*([^]*?)<\/blockquote>/g,
    '<div class="markdown-alert markdown-alert-note"><p class="markdown-alert-title">Note</p><p>$1</div>',
  );
}

/* Runs in the browser, where TypeScript's settings for Node know nothing. */
/* eslint-disable @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-member-access, @typescript-eslint/no-unsafe-argument, @typescript-eslint/no-explicit-any */
async function measure(): Promise<void> {
  const { document, mermaid, getComputedStyle } = globalThis as any;
  for (const block of document.querySelectorAll('code.language-mermaid')) {
    block.parentElement.className = 'mermaid';
    block.parentElement.textContent = block.textContent;
  }
  mermaid.initialize({ startOnLoad: false });
  await mermaid.run();
  const article = document.querySelector('article');
  const height = Math.ceil(article.getBoundingClientRect().height);
  const folds = [...document.querySelectorAll('details')];
  for (const fold of folds) {
    fold.open = true;
  }
  let lines = 0;
  let tallest = '';
  for (const cell of document.querySelectorAll('td')) {
    const style = getComputedStyle(cell);
    const inner =
      cell.clientHeight -
      Number.parseFloat(style.paddingTop) -
      Number.parseFloat(style.paddingBottom);
    const found = Math.round(inner / Number.parseFloat(style.lineHeight));
    if (found > lines) {
      lines = found;
      tallest = cell.parentElement.textContent;
    }
  }
  for (const fold of folds) {
    fold.open = false;
  }
  article.dataset.measured = encodeURIComponent(JSON.stringify({ height, lines, tallest }));
}
/* eslint-enable */
