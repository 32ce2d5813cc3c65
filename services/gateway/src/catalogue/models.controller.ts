import type { IncomingHttpHeaders } from 'node:http';
import { Controller, Get, Header, Headers, Inject, Param } from '@nestjs/common';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { type ListedModel, MODELS_PATH, type ModelList } from '@voice-fleet/protocol/openai-rest';
import { credentialOf } from '../auth/credentials.ts';
import type { Authenticate } from '../http/usage.controller.ts';
import type { ModelCatalogue } from './model-catalogue.ts';

/** What lists of models are made from. A class, so that Nest can hand it over by type. */
export abstract class ModelSource {
  abstract readonly authenticate: Authenticate;
  abstract readonly catalogue: Pick<ModelCatalogue, 'names' | 'resolve'>;
  /** What chats and speaks; nothing while llm-tts is away. */
  abstract readonly others: () => Promise<readonly ListedModel[]>;
  /** Unix time in seconds since which models that transcribe count as known. */
  abstract readonly sinceS: number;
}

/** What can be named as a model here: first what chats, then what speaks, then what transcribes. */
@Controller()
export class ModelsController {
  readonly #source: ModelSource;

  constructor(@Inject(ModelSource) source: ModelSource) {
    this.#source = source;
  }

  @Get(MODELS_PATH)
  @Header('Cache-Control', 'no-store')
  async list(@Headers() headers: IncomingHttpHeaders): Promise<ModelList> {
    const { authenticate, catalogue, others, sinceS } = this.#source;
    const { models } = await authenticate(credentialOf(headers), 'stream');
    const [elsewhere, names] = await Promise.all([others(), catalogue.names(models)]);
    const own = names.map(
      (id): ListedModel => ({ id, object: 'model', created: sinceS, owned_by: 'voice-fleet' }),
    );
    return { object: 'list', data: [...elsewhere, ...own] };
  }

  /** Names have slashes in them, which clients send as they are, or encoded. */
  @Get(`${MODELS_PATH}/*id`)
  @Header('Cache-Control', 'no-store')
  async one(
    @Headers() headers: IncomingHttpHeaders,
    @Param('id') id: string | readonly string[],
  ): Promise<ListedModel> {
    const name = typeof id === 'string' ? id : id.join('/');
    const { data } = await this.list(headers);
    const found = data.find((model) => model.id === name);
    if (found === undefined) throw new VoiceError('model_not_found');
    return found;
  }
}
