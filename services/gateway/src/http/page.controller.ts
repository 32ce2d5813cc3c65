import { Controller, Get, Inject, Next, Param, Req, Res } from '@nestjs/common';
import { PAGE_INDEX, PageFiles } from './page-files.ts';
import { type PageRequest, type PageResponse, sendPageFile } from './page-response.ts';

/** The part of an HTTP request and response used here. */
interface HttpRequest extends PageRequest {
  /** The one of these types that the client would rather have. */
  accepts(types: string[]): string | false;
}
interface HttpResponse extends PageResponse {
  vary(header: string): HttpResponse;
}

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
    if (request.accepts(['json', 'html']) === 'html')
      sendPageFile(this.#files.get(PAGE_INDEX), request, response);
    else next();
  }

  @Get('/page/:name')
  file(
    @Param('name') name: string,
    @Req() request: HttpRequest,
    @Res() response: HttpResponse,
  ): void {
    sendPageFile(this.#files.get(name), request, response);
  }
}
