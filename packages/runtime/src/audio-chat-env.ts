import { integerVar } from './env.ts';

/** What both ends of `/v1/audio/chat` keep: the gateway, so that it carries nothing that would be refused. */
export const audioChatEnv = {
  VOXTRAL_CHAT_MAX_BYTES: integerVar({
    default: 10_485_760,
    min: 1024,
    max: 104_857_600,
    doc: 'A larger file for `/v1/audio/chat` is refused with 413.',
  }),
};
