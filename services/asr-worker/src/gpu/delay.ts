/** One step of the model: the delay is a number of these. */
const STEP_MS = 80;
const MIN_MS = STEP_MS;
const MAX_MS = 2400;
/** The model card names every step up to here, and 2400. */
const MAX_LISTED_MS = 1200;

/** What a delay must be, for a message. */
export const DELAY_RULE = `a multiple of ${STEP_MS} from ${MIN_MS} to ${MAX_MS}`;

/** Whether mistral-common takes this as the model's transcription delay. */
export function isDelay(delayMs: number): boolean {
  return delayMs >= MIN_MS && delayMs <= MAX_MS && delayMs % STEP_MS === 0;
}

/** What to say of a delay that is taken but that the model was not published for. */
export function delayWarning(delayMs: number): string | undefined {
  if (delayMs <= MAX_LISTED_MS || delayMs === MAX_MS) return undefined;
  return `the model card knows delays up to ${MAX_LISTED_MS} ms and ${MAX_MS} ms: ${delayMs} ms is between them and untested`;
}
