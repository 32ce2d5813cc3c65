import { Controller, Get, Req, Res } from '@nestjs/common';
import { type PageFile, pageFile } from '../http/page-files.ts';
import { type PageRequest, type PageResponse, sendPageFile } from '../http/page-response.ts';
import { docsPage } from './docs-page.ts';
import { openApiDocument } from './document.ts';

/** What this gateway answers over HTTP, for machines and for people. Both are made once, when they are first asked for. */
@Controller()
export class OpenApiController {
  #files: { readonly json: PageFile; readonly page: PageFile } | undefined;

  @Get('/openapi.json')
  document(@Req() request: PageRequest, @Res() response: PageResponse): void {
    sendPageFile(this.#made().json, request, response);
  }

  @Get('/docs')
  page(@Req() request: PageRequest, @Res() response: PageResponse): void {
    sendPageFile(this.#made().page, request, response);
  }

  #made() {
    if (this.#files) return this.#files;
    const document = openApiDocument();
    this.#files = {
      json: pageFile(Buffer.from(JSON.stringify(document)), 'application/json; charset=utf-8'),
      page: pageFile(Buffer.from(docsPage(document)), 'text/html; charset=utf-8'),
    };
    return this.#files;
  }
}
