import { Controller, Get, Inject, Param, Req, Res } from '@nestjs/common';
import { LEAN_PROTOCOL_VERSION } from '@voice-fleet/protocol/lean';
import { FleetHealth } from '../http/fleet-health.ts';
import { PAGE_INDEX, PageFiles } from '../http/page-files.ts';
import { type PageRequest, type PageResponse, sendPageFile } from '../http/page-response.ts';

/** Answered by `GET /health`. A type, not an interface, so that it can be answered as plain JSON. */
export type LeanHealth = {
  protocol: number;
  /** Some worker is there and ready, be it full. */
  model_loaded: boolean;
  model: string;
  partials: boolean;
};

/** Name of the model, as `/health` tells it. A class, so that Nest can hand it over by type. */
export class LeanModel {
  readonly label: string;

  constructor(label: string) {
    this.label = label;
  }
}

/** What a lean gateway has beside its socket and `/transcribe`: a page, and how it is. */
@Controller()
export class LeanController {
  readonly #files: PageFiles;
  readonly #health: FleetHealth;
  readonly #model: LeanModel;

  constructor(
    @Inject(PageFiles) files: PageFiles,
    @Inject(FleetHealth) health: FleetHealth,
    @Inject(LeanModel) model: LeanModel,
  ) {
    this.#files = files;
    this.#health = health;
    this.#model = model;
  }

  @Get('/')
  index(@Req() request: PageRequest, @Res() response: PageResponse): void {
    sendPageFile(this.#files.get(PAGE_INDEX), request, response);
  }

  /** By the name that the page itself uses, and by the one that clients of this protocol know. */
  @Get(['/page/:name', '/static/:name'])
  file(
    @Param('name') name: string,
    @Req() request: PageRequest,
    @Res() response: PageResponse,
  ): void {
    sendPageFile(this.#files.get(name), request, response);
  }

  @Get('/health')
  async health(): Promise<LeanHealth> {
    const { ready, reason } = await this.#health.readiness();
    return {
      protocol: LEAN_PROTOCOL_VERSION,
      model_loaded: ready || reason === 'full',
      model: this.#model.label,
      partials: true,
    };
  }
}
