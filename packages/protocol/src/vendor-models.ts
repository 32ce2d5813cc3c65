/** Names that clients send when they were told none: here they mean whatever speech model is served. */
const SPEECH = /^(?:tts-1(?:-hd)?(?:-\d{4})?|gpt-4o-mini-tts(?:-\d{4}-\d{2}-\d{2})?)$/;
/** The same of language models. */
const CHAT = /^(?:chatgpt-|gpt-(?:3\.5|4|5)|o[134](?:-|$))[\w.-]*$/;

export function isVendorSpeechModel(model: string): boolean {
  return SPEECH.test(model);
}

export function isVendorChatModel(model: string): boolean {
  return CHAT.test(model) && !/(?:transcribe|tts|realtime|audio)/.test(model);
}

/** The same of models that transcribe: OpenAI's, Deepgram's and Mistral's. */
const TRANSCRIPTION =
  /^(?:gpt-(?:[\w.]+-)*(?:transcribe|realtime|whisper)(?:-[\w-]+)?|(?:whisper|nova|flux|voxtral-mini)-[\w-]+|(?:enhanced|base|general)(?:-[\w-]+)?)$/;

export function isVendorTranscriptionModel(model: string): boolean {
  return TRANSCRIPTION.test(model);
}
