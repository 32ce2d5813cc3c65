/** Of Voxtral Realtime, in whatever runs it: ISO 639-1. */
export const VOXTRAL_LANGUAGES = [
  'ar',
  'de',
  'en',
  'es',
  'fr',
  'hi',
  'it',
  'ja',
  'ko',
  'nl',
  'pt',
  'ru',
  'zh',
] as const;
