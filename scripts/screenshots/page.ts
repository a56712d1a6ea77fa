/**
 * Summaries as GitHub shows them: their Markdown as HTML with GitHub's stylesheet and Mermaid's drawings, in a headless
 * Chromium that measures them and takes their pictures.
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
  /** of the whole summary with its folds closed, in pixels */
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
 * The summaries stand one below the other on one page, because Chromium takes longer to start than to draw.
 *
 * @param width of the page, in pixels
 * @returns what was measured of each, in their order
 * @throws when Chromium ends with an error, or draws nothing in time
 */
export async function measure(
  chromium: string,
  summaries: readonly string[],
  width: number,
): Promise<Measured[]> {
  const html = await draw(chromium, summaries, width, 1_000, '--dump-dom');
  const found = [...html.matchAll(/ data-measured="([^"]*)"/g)];
  if (found.length < summaries.length) {
    throw new Error('the page was not drawn in time');
  }
  return found.map(([, text = '']) => JSON.parse(decodeURIComponent(text)) as Measured);
}

/**
 * @param width of the page, in pixels
 * @param height where the picture is cut off, in pixels
 * @param file the PNG to write
 * @throws when Chromium ends with an error
 */
export async function takePicture(
  chromium: string,
  summary: string,
  width: number,
  height: number,
  file: string,
): Promise<void> {
  await draw(chromium, [summary], width, height, `--screenshot=${path.resolve(file)}`);
}

/** @returns what Chromium printed */
async function draw(
  chromium: string,
  summaries: readonly string[],
  width: number,
  height: number,
  action: string,
): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'summary-'));
  try {
    const file = path.join(directory, 'summary.html');
    await writeFile(file, await page(summaries, width));
    const { stdout } = await run(
      chromium,
      [
        '--headless=new',
        '--no-sandbox',
        '--disable-gpu',
        '--hide-scrollbars',
        '--allow-file-access-from-files',
        '--virtual-time-budget=10000',
        `--user-data-dir=${path.join(directory, 'profile')}`,
        `--window-size=${String(Math.max(width, LEAST_WINDOW))},${String(height)}`,
        action,
        pathToFileURL(file).href,
      ],
      { timeout: MOST_TIME, maxBuffer: 64 * 1024 * 1024 },
    );
    return stdout;
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function page(summaries: readonly string[], width: number): Promise<string> {
  const css = await readFile(resolve('github-markdown-css/github-markdown-light.css'), 'utf8');
  const mermaid = pathToFileURL(resolve('mermaid/dist/mermaid.min.js')).href;
  const articles = await Promise.all(
    summaries.map(async (summary) => {
      const html = alerts(await marked(summary, { gfm: true }));
      return `<article class="markdown-body">${html}</article>\n`;
    }),
  );
  return `<!doctype html>
<meta charset="utf-8">
<style>${css}
body { margin: 0; background: white }
article { box-sizing: border-box; width: ${String(width)}px; padding: 24px }
</style>
${articles.join('')}<script src="${mermaid}"></script>
<script>(${measureArticles.toString()})()</script>
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
async function measureArticles(): Promise<void> {
  const { document, mermaid, getComputedStyle } = globalThis as any;
  for (const block of document.querySelectorAll('code.language-mermaid')) {
    block.parentElement.className = 'mermaid';
    block.parentElement.textContent = block.textContent;
  }
  mermaid.initialize({ startOnLoad: false });
  await mermaid.run();
  const articles = [...document.querySelectorAll('article')];
  const folds = [...document.querySelectorAll('details')];
  // The browser lays out the whole page again when a fold opens. So all heights are read before the first one does.
  const heights = articles.map((article) => Math.ceil(article.getBoundingClientRect().height));
  for (const fold of folds) {
    fold.open = true;
  }
  for (const [at, article] of articles.entries()) {
    let lines = 0;
    let tallest = '';
    for (const cell of article.querySelectorAll('td')) {
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
    const measured = { height: heights[at], lines, tallest };
    article.dataset.measured = encodeURIComponent(JSON.stringify(measured));
  }
  for (const fold of folds) {
    fold.open = false;
  }
}
/* eslint-enable */
