import { integerVar } from './env.ts';

/** What both ends of `/v1/chat/completions` keep: the gateway, so that it carries nothing that would be refused. */
export const chatCompletionsEnv = {
  CHAT_COMPLETIONS_MAX_BYTES: integerVar({
    default: 16_777_216,
    min: 1024,
    max: 104_857_600,
    doc: 'A larger body for `/v1/chat/completions` is refused with 413. Audio in it is base64, a third larger than it was.',
  }),
};
