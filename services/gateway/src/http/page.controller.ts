import { Controller, Get, Inject, Next, NotFoundException, Param, Req, Res } from '@nestjs/common';
import { PAGE_INDEX, type PageFile, PageFiles } from './page-files.ts';

/** The part of an HTTP request and response used here. */
interface HttpRequest {
  /** The one of these types that the client would rather have. */
  accepts(types: string[]): string | false;
  header(name: string): string | undefined;
}
interface HttpResponse {
  set(headers: Readonly<Record<string, string>>): HttpResponse;
  vary(header: string): HttpResponse;
  status(code: number): { end(body?: Buffer): void };
}

/** Own scripts, own styles, own server; nothing is framed, posted or taken from elsewhere. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS = {
  // Asked for anew each time, and sent anew only when it changed: a page never runs with old modules.
  'Cache-Control': 'no-cache',
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'microphone=(self), camera=(), geolocation=()',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

/** The page to try the fleet with. Stands before the health endpoints, which have `/` for all who are no browser. */
@Controller()
export class PageController {
  readonly #files: PageFiles;

  constructor(@Inject(PageFiles) files: PageFiles) {
    this.#files = files;
  }

  @Get('/')
  index(
    @Req() request: HttpRequest,
    @Res() response: HttpResponse,
    @Next() next: () => void,
  ): void {
    response.vary('Accept');
    // Whoever takes anything, as curl does, gets JSON: it stands first.
    if (request.accepts(['json', 'html']) === 'html') this.#send(PAGE_INDEX, request, response);
    else next();
  }

  @Get('/page/:name')
  file(
    @Param('name') name: string,
    @Req() request: HttpRequest,
    @Res() response: HttpResponse,
  ): void {
    this.#send(name, request, response);
  }

  #send(name: string, request: HttpRequest, response: HttpResponse): void {
    const file = this.#files.get(name);
    if (file === undefined) throw new NotFoundException();
    response.set({ ...HEADERS, ETag: file.etag });
    if (isKnown(file, request.header('If-None-Match'))) return response.status(304).end();
    response.set({ 'Content-Type': file.type, 'Content-Length': String(file.body.length) });
    response.status(200).end(file.body);
  }
}

function isKnown(file: PageFile, ifNoneMatch: string | undefined): boolean {
  const tags = ifNoneMatch?.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags?.some((tag) => tag === file.etag || tag === '*') ?? false;
}
