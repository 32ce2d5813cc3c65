import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** One file of the page, ready to be sent. */
export interface PageFile {
  readonly body: Buffer;
  readonly type: string;
  /** Strong, in its quotes. */
  readonly etag: string;
}

export const PAGE_INDEX = 'index.html';

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Everything that can be asked for. Nothing else of the folder, or of any other, is ever opened. */
export const PAGE_NAMES = [
  PAGE_INDEX,
  'page.css',
  'layout.css',
  'docs.css',
  'icon.svg',
  'main.js',
  'theme.js',
  'actions.js',
  'capture.js',
  'controls.js',
  'conversation.js',
  'dialog.js',
  'explain.js',
  'file-source.js',
  'input.js',
  'marks.js',
  'marks-chart.js',
  'meter.js',
  'page-state.js',
  'play-order.js',
  'playback.js',
  'reconnect.js',
  'resampler.js',
  'server-facts.js',
  'settings.js',
  'turns-view.js',
  'view.js',
  'voice-socket.js',
  'worklet.js',
] as const;

/** The same folder for src and dist, beside which it lies. */
export const PAGE_FOLDER = new URL('../../public/', import.meta.url);

/** The web page, read once when the gateway starts. A class, so that Nest can hand it over by type. */
export class PageFiles {
  readonly #files: ReadonlyMap<string, PageFile>;

  /** Throws if a file is not there. */
  constructor(folder: URL = PAGE_FOLDER) {
    this.#files = new Map(PAGE_NAMES.map((name) => [name, read(new URL(name, folder), name)]));
  }

  get(name: string): PageFile | undefined {
    return this.#files.get(name);
  }
}

function read(url: URL, name: string): PageFile {
  const body = readFileSync(url);
  const type = TYPES[name.slice(name.lastIndexOf('.') + 1)];
  if (type === undefined) throw new Error(`no media type is known for ${name}`);
  return pageFile(body, type);
}

/** Ready to be sent. */
export function pageFile(body: Buffer, type: string): PageFile {
  const hash = createHash('sha256').update(body).digest('base64url').slice(0, 27);
  return { body, type, etag: `"${hash}"` };
}
