import { ListedModel, MODELS_PATH, ModelList } from '@voice-fleet/protocol/openai-rest';
import { z } from 'zod';
import { json, type Operation, ok } from './operation.ts';

const example: ListedModel = {
  id: 'mistralai/Voxtral-Mini-4B-Realtime-2602',
  object: 'model',
  created: 1_795_910_400,
  owned_by: 'voice-fleet',
};

export const MODEL_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: MODELS_PATH,
    tag: 'Models',
    summary: 'What can be named as a model',
    description:
      'First what chats, then what speaks, then what transcribes with its aliases. Names that vendors use, such as whisper-1, tts-1 or gpt-4o, work beside them and are not listed.',
    key: 'stream',
    answers: [ok('The models.', json('ModelList', ModelList, { object: 'list', data: [example] }))],
    refusals: [503],
  },
  {
    method: 'get',
    path: `${MODELS_PATH}/{id}`,
    tag: 'Models',
    summary: 'One model',
    key: 'stream',
    parameters: [
      {
        name: 'id',
        in: 'path',
        description: 'Its name; slashes may be encoded.',
        schema: z.string(),
        example: example.id,
      },
    ],
    answers: [ok('The model.', json('Model', ListedModel, example))],
    refusals: [404, 503],
  },
];
